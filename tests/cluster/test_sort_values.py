"""``sort_values``: a secondary sort, on a cluster and in one process."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from disco_rq import Disco, JobError, func, local, result_iterator
from tests.cluster.small_jobs import PATIENCE_S

Run = Callable[..., list[Any]]


@pytest.fixture(params=["cluster", "local"])
def rows(request: pytest.FixtureRequest) -> Run:
    """Runs a job, and gives the pairs of its results."""
    if request.param == "local":
        return lambda inputs, **arguments: list(result_iterator(local.run("sv", inputs, **arguments).wait()))
    disco: Disco = request.getfixturevalue("disco")
    return lambda inputs, **arguments: list(
        result_iterator(disco.new_job("sv", inputs, **arguments).wait(timeout=PATIENCE_S))
    )


def visits(line: str, params: Any) -> Iterator[tuple[str, tuple[int, str]]]:
    user, time, page = line.split()
    yield user, (int(time), page)


def paths(pairs: Any, params: Any) -> Iterator[tuple[str, list[str]]]:
    for user, hits in func.kvgroup(pairs):
        yield user, [page for _, page in hits]


@pytest.mark.parametrize("limit", [256 << 20, 1 << 20])
def test_each_user_s_pages_come_in_the_order_of_their_times(rows: Run, limit: int, tmp_path: Path) -> None:
    lines = [f"user{n % 7} {n} page{n}" for n in range(20_000)]
    random.Random(4).shuffle(lines)
    log = tmp_path / "log"
    log.write_text("\n".join(lines))
    found = rows(
        [str(log)], map=visits, reduce=paths, sort_values=True, mem_sort_limit=limit, split_size=100_000
    )
    assert dict(found) == {f"user{u}": [f"page{n}" for n in range(u, 20_000, 7)] for u in range(7)}
    assert len(found) == 7


def test_sums_of_a_combiner_come_in_order(rows: Run) -> None:
    def letters(line: str, params: Any) -> Iterator[tuple[str, int]]:
        for word in line.split():
            yield word[0], len(word)

    def listed(pairs: Any, params: Any) -> Iterator[tuple[str, list[int]]]:
        for letter, sums in func.kvgroup(pairs):
            yield letter, list(sums)

    inputs = ["raw://aaa b", "raw://a bbb", "raw://aa bb aa"]
    found = rows(
        inputs, map=letters, combiner=func.sum_combiner, reduce=listed, sort_values=True, nr_reduces=1
    )
    assert found == [("a", [1, 3, 4]), ("b", [1, 2, 3])]


def test_without_a_reduce_the_maps_results_are_sorted_by_both(rows: Run) -> None:
    def pairs_of(line: str, params: Any) -> Iterator[tuple[str, Any]]:
        yield from [("b", 2), ("a", None), ("b", 1.5), ("a", "x"), ("a", 3)]

    found = rows(["raw://x"], map=pairs_of, sort_values=True)
    assert found == [("a", None), ("a", 3), ("a", "x"), ("b", 1.5), ("b", 2)]


class Thing:
    pass


def things(line: str, params: Any) -> Iterator[tuple[str, Any]]:
    yield "k", Thing()
    yield "k", Thing()


def test_values_without_order_end_the_job_naming_their_type(rows: Run) -> None:
    with pytest.raises(JobError, match=r"sort_values knows no order of values of the type \S*Thing"):
        rows(
            ["raw://x"],
            map=things,
            map_writer=func.object_writer,
            reduce_reader=func.object_reader,
            reduce=paths,
            sort_values=True,
        )


def test_the_spec_tells_that_keys_are_sorted_too(disco: Disco) -> None:
    job = disco.new_job("sv", ["raw://u 1 p"], map=visits, reduce=paths, sort_values=True)
    job.wait(timeout=PATIENCE_S)
    told = job.jobspec()
    assert (told["sort"], told["sort_values"]) == (True, True)
