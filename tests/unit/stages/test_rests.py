"""A map tells how far it is: often where it is slow, seldom where it is fast."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from disco_rq.errors import TaskError
from disco_rq.model import Functions, Input, JobSpec, MapInput, TaskId
from disco_rq.records import FileSource
from disco_rq.stages import TaskWork, mapping, run_map, run_reduce
from disco_rq.stages.rests import MOST_IN_A_ROW, REST_EACH_S, Rests


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def rested(entry_s: float, entries: int, rests: Rests, clock: Clock) -> list[float]:
    """How long it was from each rest to the next."""
    took_s = []
    while entries > 0:
        some = min(rests.in_a_row, entries)
        entries -= some
        took_s.append(some * entry_s)
        clock.now_s += some * entry_s
        rests.rest(some)
    return took_s


@pytest.mark.parametrize("entry_s", [3600.0, 1.0, 0.15, 0.01, 0.001])
def test_a_rest_comes_about_so_often_or_with_each_entry(entry_s: float) -> None:
    clock = Clock()
    took_s = rested(entry_s, 5000, Rests(clock), clock)

    assert max(took_s) <= max(REST_EACH_S * 1.01, entry_s)
    assert len(took_s) <= min(5000, 5000 * entry_s / REST_EACH_S * 2 + 20)


def test_entries_that_become_slow_are_told_one_by_one_after_one_row() -> None:
    clock = Clock()
    rests = Rests(clock)
    rested(1e-6, 100_000, rests, clock)
    assert rests.in_a_row == MOST_IN_A_ROW
    assert rested(1.0, MOST_IN_A_ROW + 3, rests, clock) == [MOST_IN_A_ROW, 1.0, 1.0, 1.0]


def test_inputs_of_few_entries_are_no_reason_for_longer_rows() -> None:
    clock = Clock()
    rests = Rests(clock)
    for _ in range(100):
        rests.rest(0)
    assert rests.in_a_row == 1


def work(told: list[int], root: Path, task: str, functions: Functions) -> TaskWork:
    return TaskWork(
        JobSpec("job@20260101-000000-aaaa", 1, 1, has_map=True, has_reduce=True, status_interval=7),
        functions,
        None,
        TaskId.parse(task),
        root,
        lambda _: None,
        lambda: None,
        tell_entries=told.append,
    )


def a_pair(entry: str, _params: Any) -> list[tuple[str, int]]:
    return [(entry, 1)]


class AfterEach(Rests):
    """Whatever the time."""

    def rest(self, nr_entries: int) -> None:
        self.in_a_row = 1


def test_what_is_told_are_the_entries_that_were_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapping, "Rests", AfterEach)
    told: list[int] = []
    functions = Functions(map=a_pair, reduce=lambda pairs, _params: pairs)
    given = MapInput(((Input("raw://a\nb\nc"),), (Input("raw://d\ne\n"),)))

    mapped = run_map(work(told, tmp_path, "map:0", functions), given, tmp_path / "map-0")

    assert sorted(set(told)) == [1, 2, 3, 4, 5]
    assert told == sorted(told)
    assert mapped.entries_in == mapped.records_out == 5
    told.clear()
    sources = [FileSource(tmp_path / "map-0", "disco://node/map-0")]
    run_reduce(work(told, tmp_path, "reduce:0", functions), sources, tmp_path / "reduce-0")
    assert told == [5]


def test_what_a_map_gives_is_looked_at_across_rests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapping, "Rests", AfterEach)
    functions = Functions(map=lambda entry, _params: [(entry, 1)] if entry != "c" else "cc")
    given = MapInput(((Input("raw://a\nb\nc"),),))

    with pytest.raises(TaskError, match="gave the str 'cc'"):
        run_map(work([], tmp_path, "map:0", functions), given, tmp_path / "map-0")
