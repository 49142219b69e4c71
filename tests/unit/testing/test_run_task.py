"""A task of one's own in a unit test: its pairs, what it put and said, and its errors as they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from disco_rq import JobArgumentError, JobFailure, Params
from disco_rq.func import kvgroup, sum_combiner, sum_reduce
from disco_rq.runtime import counter, err, msg, put, skip_entry, this_partition
from disco_rq.testing import run_task


def map(line: str, params: Any) -> Iterator[tuple[str, int]]:
    counter("lines")
    for word in line.split():
        yield word, 1


def test_a_map_gives_its_pairs_and_counts() -> None:
    run = run_task(map, ["a b", "a"])

    assert run.pairs == [("a", 1), ("b", 1), ("a", 1)]
    assert run.counters == {"lines": 2}
    assert (run.puts, run.messages, run.bad) == ({}, [], [])


def test_the_runtime_names_are_at_hand() -> None:
    def telling(entry: Any, params: Any) -> list[Any]:
        put("seen", {"entry": entry})
        msg(f"partition {this_partition()}")
        return []

    run = run_task(telling, [17])

    assert run.puts == {"seen": {"entry": 17}}
    assert run.messages == ["partition 0"]


def test_entries_are_what_a_reader_gives_of_any_type() -> None:
    def rows(row: dict[str, Any], params: Any) -> list[Any]:
        return [(row["id"], row["n"] * params.factor)]

    assert run_task(rows, ({"id": n, "n": n} for n in (1, 2)), params=Params(factor=2)).pairs == [
        (1, 2),
        (2, 4),
    ]


def test_an_error_comes_as_it_was_raised() -> None:
    def fails(entry: Any, params: Any) -> list[Any]:
        raise KeyError(entry)

    def ends(entry: Any, params: Any) -> list[Any]:
        err("no use")

    with pytest.raises(KeyError, match="'x'"):
        run_task(fails, ["x"])
    with pytest.raises(JobFailure, match="no use"):
        run_task(ends, ["x"])
    with pytest.raises(JobArgumentError, match="combinr"):
        run_task(map, ["x"], combinr=sum_combiner)


def test_bad_entries_are_left_out_and_told() -> None:
    def numbers(line: str, params: Any) -> list[Any]:
        if line == "-":
            skip_entry(line, "a dash")
        return [(int(line), 1)]

    run = run_task(numbers, ["1", "x", "-"], max_bad=2)

    assert run.pairs == [(1, 1)]
    assert [bad.entry for bad in run.bad] == ["x", "-"]


def test_a_reduce_gets_the_pairs_and_may_have_them_sorted() -> None:
    def reduce(pairs: Any, params: Any) -> Iterator[Any]:
        for key, values in kvgroup(pairs):
            yield key, list(values)

    run = run_task(None, [("b", 1), ("a", 2), ("b", 3)], reduce=reduce, sort=True)

    assert run.pairs == [("a", [2]), ("b", [1, 3])]


def test_map_combiner_and_reduce_work_together() -> None:
    run = run_task(map, ["a b", "a"], combiner=sum_combiner, reduce=sum_reduce)

    assert dict(run.pairs) == {"a": 2, "b": 1}
