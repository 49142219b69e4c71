"""What a job's functions are given: params, functions among them, of their own; and init functions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from disco_rq import Disco, Params
from disco_rq.func import map_line_reader
from tests.cluster.small_jobs import pairs, run


def add(a: int, b: int) -> int:
    return a + b


def is_large(number: int) -> int:
    return int(number > 10)


def number_files(directory: Path, heading: str = "") -> list[str]:
    """Ten files, ten lines of its number in each."""
    paths = [directory / f"{n}.txt" for n in range(10)]
    for n, path in enumerate(paths):
        path.write_text(heading + f"{n}\n" * 10)
    return [str(path) for path in paths]


def test_params_hold_values_and_functions_for_maps_and_reduces(disco: Disco, tmp_path: Path) -> None:
    now = datetime.now(UTC)

    def map_number(line: str, params: Any) -> Iterator[tuple[int, int]]:
        assert params.now == now
        yield int(line), params.add(int(line), params.x)

    def judge(pairs: Any, out: Any, params: Any) -> None:
        for key, number in pairs:
            out.add(key, params.judge(number))

    job = run(
        disco,
        input=number_files(tmp_path),
        map=map_number,
        reduce=judge,
        params=Params(x=5, add=add, judge=is_large, now=now),
    )

    assert sorted(pairs(job)) == [(n, is_large(n + 5)) for n in range(10) for _ in range(10)]


def test_init_is_called_once_before_the_first_entry_and_may_take_entries(
    disco: Disco, tmp_path: Path
) -> None:
    def skip_heading(entries: Any, params: Any) -> None:
        assert next(entries) == "skip this"
        params.x += 100

    def reduce_init(pairs: Any, params: Any) -> None:
        params.y = 1000

    def map_number(line: str, params: Any) -> list[tuple[int, int]]:
        return [(int(line), int(line) + params.x)]

    def add_y(pairs: Any, out: Any, params: Any) -> None:
        for key, number in pairs:
            out.add(key, number + params.y)

    job = run(
        disco,
        input=number_files(tmp_path, "skip this\n"),
        map_init=skip_heading,
        map=map_number,
        reduce_init=reduce_init,
        reduce=add_y,
        params=Params(x=10),
    )

    assert sorted(pairs(job)) == [(n, n + 1110) for n in range(10) for _ in range(10)]


@pytest.mark.parametrize("own_reader", [False, True])
def test_what_a_task_changes_in_its_params_no_other_task_sees(disco: Disco, own_reader: bool) -> None:
    def count(entry: str, params: Any) -> list[tuple[str, int]]:
        params["seen"].append(entry)
        return [(entry, len(params["seen"]))]

    def seen(pairs: Any, params: Any) -> Iterator[tuple[str, Any]]:
        yield "seen by the reduce", params["seen"]
        yield from pairs

    reader: dict[str, Any] = {"map_reader": map_line_reader} if own_reader else {}
    inputs = [f"raw://{n}" for n in range(20)]
    job = run(
        disco, input=inputs, map=count, reduce=seen, nr_reduces=1, sort=True, params={"seen": []}, **reader
    )

    assert pairs(job) == [("seen by the reduce", []), *sorted((str(n), 1) for n in range(20))]
