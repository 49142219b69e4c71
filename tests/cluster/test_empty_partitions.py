"""A reduce for which no map has written anything opens no file, and still runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from disco_rq import Disco, local, result_iterator
from tests.cluster.small_jobs import PATIENCE_S

Run = Callable[..., list[Any]]


@pytest.fixture(params=["cluster", "local"])
def rows(request: pytest.FixtureRequest) -> Run:
    """Runs a job, and gives the pairs of each of its results."""
    if request.param == "local":
        return lambda inputs, **given: [
            list(result_iterator([result])) for result in local.run("empty", inputs, **given).wait()
        ]
    disco: Disco = request.getfixturevalue("disco")
    return lambda inputs, **given: [
        list(result_iterator([result]))
        for result in disco.new_job("empty", inputs, **given).wait(timeout=PATIENCE_S)
    ]


def numbered(line: str, params: Any) -> Iterator[tuple[int, str]]:
    yield int(line) % 3, line


def place(key: int, nr_reduces: int, params: Any) -> int:
    return key * 4


def seen(pairs: Any, params: Any) -> Iterator[tuple[Any, Any]]:
    yield "partition", this_partition()  # type: ignore[name-defined]  # noqa: F821
    yield "inputs", len(this_inputs())  # type: ignore[name-defined]  # noqa: F821
    yield "pairs", sorted(value for _, value in pairs)


@pytest.mark.parametrize("sort", [True, False])
def test_reduces_of_empty_partitions_run_beside_those_that_read(rows: Run, sort: bool) -> None:
    lines = [str(n) for n in range(12)]
    found = rows(
        [f"raw://{line}" for line in lines],
        map=numbered,
        partition=place,
        reduce=seen,
        nr_reduces=10,
        sort=sort,
    )
    assert found == [
        [
            ("partition", n),
            ("inputs", 12),
            ("pairs", sorted(x for x in lines if n % 4 == 0 and int(x) % 3 == n // 4)),
        ]
        for n in range(10)
    ]


def of_nothing(fd: Any, size: int | None, fname: str) -> Iterator[tuple[str, int]]:
    yield "bytes", len(fd.read())


def written(fd: Any, key: Any, value: Any, params: Any) -> None:
    fd.write(b"x")


def total(pairs: Any, params: Any) -> Iterator[tuple[str, int]]:
    yield "total", sum(1 for _ in pairs)


def test_a_reader_that_makes_something_of_nothing_is_called_for_every_output(rows: Run) -> None:
    found = rows(
        [f"raw://{n}" for n in (0, 3)],
        map=numbered,
        map_writer=written,
        reduce_reader=of_nothing,
        partition=place,
        reduce=total,
        nr_reduces=3,
    )
    assert found == [[("total", 2)]] * 3
