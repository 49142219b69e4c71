"""Sorting in bounded memory: whatever is spilled and merged, the pairs that went in come out."""

from __future__ import annotations

import math
import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import chain, groupby, repeat
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from disco_rq.errors import TaskError
from disco_rq.records import PairBatch, RecordWriter, read_pairs
from disco_rq.records.writer import encode
from disco_rq.shuffle import Ordered, summed
from disco_rq.shuffle.grouping import pairs_of
from disco_rq.shuffle.interleaved import Interleaved
from disco_rq.shuffle.merge import merged
from disco_rq.shuffle.partition import Partitioner
from disco_rq.shuffle.ranges import ranges_of
from disco_rq.shuffle.sorter import Sorter
from disco_rq.shuffle.sortorder import sort_key
from tests.unit.records.test_records import hashables, values

Pair = tuple[Any, Any]
MEMORY = 1 << 30
NO_MEMORY = 20_000


class Named(NamedTuple):
    key: str
    value: int


def sorted_by(scratch: Path, limit: int, pairs: list[Pair], nr: int = 1) -> list[list[Pair]]:
    """What a sorter gives for each partition."""
    sorter = Sorter(scratch, limit, Partitioner(None, nr, None))
    sorter.feed(iter(pairs))
    out: list[list[Pair]] = [[] for _ in range(nr)]
    for partition, batches in sorter.finish():
        out[partition] = [pair for batch in batches for pair in pairs_of(batch)]
    return out


def in_blocks(run: list[Pair], rnd: random.Random, *, grouped: bool) -> Iterator[PairBatch]:
    """A sorted run, cut anywhere; blocks may be empty, and end within a key."""
    while run:
        count = rnd.randrange(4)
        some, run = run[:count], run[count:]
        if grouped:
            groups = by_key(some)
            yield PairBatch(list(groups), list(groups.values()), True)
        else:
            yield PairBatch([key for key, _ in some], [value for _, value in some], False)


def by_key(pairs: list[Pair]) -> dict[Any, list[Any]]:
    groups: dict[Any, list[Any]] = defaultdict(list)
    for key, value in pairs:
        groups[key].append(value)
    return {key: sorted(some) for key, some in groups.items()}


KEYS: dict[str, Callable[[random.Random], Any]] = {
    "few words": lambda rnd: f"word {rnd.randrange(200)}",
    "many words": lambda rnd: f"word {rnd.randrange(10**9)}",
    "numbers": lambda rnd: rnd.choice([rnd.randrange(100), rnd.random(), True, 2**70]),
    "tuples": lambda rnd: (rnd.randrange(50), rnd.choice("abc")),
    "mixed": lambda rnd: rnd.choice([None, 1, 1.0, "1", b"1", (1, "a"), (1, 2), ("a", None), frozenset([1])]),
}


@pytest.mark.parametrize("limit", [MEMORY, NO_MEMORY])
@pytest.mark.parametrize("nr", [1, 3])
@pytest.mark.parametrize("keys", KEYS)
def test_all_pairs_come_out_in_order_in_memory_and_spilled(
    keys: str, nr: int, limit: int, tmp_path: Path
) -> None:
    rnd = random.Random(1)
    pairs = [(KEYS[keys](rnd), number) for number in range(20_000)]
    partitions = sorted_by(tmp_path, limit, pairs, nr)
    for partition in partitions:
        marks = [sort_key(key) for key, _ in partition]
        assert marks == sorted(marks)
    assert by_key(list(chain(*partitions))) == by_key(pairs)
    assert bool(list(tmp_path.iterdir())) == (limit == NO_MEMORY)


def test_each_key_is_in_the_partition_of_its_own(tmp_path: Path) -> None:
    pairs = [(f"word {number % 1000}", number) for number in range(20_000)]
    for partition, some in enumerate(sorted_by(tmp_path, NO_MEMORY, pairs, 5)):
        assert {key for key, _ in some} == {
            key for key, _ in pairs if Partitioner(None, 5, None).many([key]) == [partition]
        }


@pytest.mark.parametrize("limit", [MEMORY, NO_MEMORY])
@pytest.mark.parametrize("modulus", [1, 7, 5000, 10**9])  # few keys are grouped, many are columns
def test_the_values_of_a_key_keep_their_order_in_memory_and_spilled(
    modulus: int, limit: int, tmp_path: Path
) -> None:
    pairs = [(number * 7919 % modulus, number) for number in range(20_000)]
    ((*out,),) = sorted_by(tmp_path, limit, pairs)
    assert out == sorted(pairs)


@pytest.mark.parametrize("limit", [MEMORY, NO_MEMORY])
def test_blocks_of_groups_and_of_pairs_keep_the_order_of_their_values(limit: int, tmp_path: Path) -> None:
    rnd = random.Random(4)
    sorter = Sorter(tmp_path, limit, Partitioner(None, 1, None))
    sorter.judging = False
    number = 0
    for source in range(40):
        keys = sorted(rnd.sample(range(300), 100))
        groups = [[number := number + 1 for _ in range(rnd.randrange(1, 4))] for _ in keys]
        batch = PairBatch(keys, groups, True)
        if rnd.random() < 0.5:
            pairs = list(pairs_of(batch))
            batch = PairBatch([key for key, _ in pairs], [value for _, value in pairs], False)
        sorter.feed_batch(batch)
        sorter.judging = source > 5
    out = [pair for _, row in sorter.finish() for batch in row for pair in pairs_of(batch)]
    assert out == sorted(out)
    assert len(out) == number


@pytest.mark.parametrize("grouped", [False, True])
def test_a_merge_keeps_the_order_of_the_runs_where_a_key_goes_on_over_blocks(grouped: bool) -> None:
    rnd = random.Random(5)
    for _ in range(200):
        runs: list[list[Pair]] = []
        for i in range(4):
            keys = sorted(rnd.randrange(3) for _ in range(rnd.randrange(9)))
            runs.append([(key, (i, n)) for n, key in enumerate(keys)])
        found = merged([in_blocks(run, rnd, grouped=grouped) for run in runs])
        out = [pair for batch in found for pair in pairs_of(batch)]
        assert out == sorted(chain(*runs))


@pytest.mark.parametrize("limit", [MEMORY, NO_MEMORY])
def test_keys_that_cannot_be_hashed_are_sorted_as_well(limit: int, tmp_path: Path) -> None:
    pairs: list[Pair] = [([number % 7], number) for number in range(3000)]
    pairs += [("word", number) for number in range(3000)]
    pairs += [({number % 3: "x"}, number) for number in range(3000)]
    random.Random(1).shuffle(pairs)
    ((*out,),) = sorted_by(tmp_path, limit, pairs)
    marks = [sort_key(key) for key, _ in out]
    assert marks == sorted(marks)
    assert sorted((sort_key(k), v) for k, v in out) == sorted((sort_key(k), v) for k, v in pairs)


@pytest.mark.parametrize("limit", [MEMORY, NO_MEMORY])
def test_nan_breaks_nothing(limit: int, tmp_path: Path) -> None:
    rnd = random.Random(1)
    pairs = [
        (rnd.choice([float("nan"), math.nan, rnd.randrange(50), -math.inf]), number) for number in range(9000)
    ]
    ((*out,),) = sorted_by(tmp_path, limit, pairs)
    numbers = [(key, value) for key, value in out if key == key]
    assert [key for key, _ in numbers] == sorted(key for key, _ in numbers)
    assert sorted(value for _, value in out) == list(range(9000))


def test_with_hardly_any_memory_many_runs_are_merged_in_several_passes(tmp_path: Path) -> None:
    pairs = [(number * 7919 % 30_011, f"value {number}") for number in range(30_011)]
    sorter = Sorter(tmp_path, NO_MEMORY, Partitioner(None, 1, None))
    sorter.feed(iter(pairs))
    assert len(list(tmp_path.iterdir())) > 50
    ((_, batches),) = sorter.finish()
    assert [key for batch in batches for key, _ in pairs_of(batch)] == list(range(30_011))
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("late", [0, 5000])
@pytest.mark.parametrize("what", ["ab", b"ab", {"a": 1, "b": 2}, {1, 2}, bytearray(b"ab"), 5])
def test_what_is_no_pair_is_named(what: Any, late: int, tmp_path: Path) -> None:
    for feed in (
        Sorter(tmp_path, MEMORY, Partitioner(None, 1, None)).feed,
        lambda some: list(summed(some, MEMORY)),
    ):
        with pytest.raises(TaskError, match=f"not a pair: {re.escape(repr(what))}"):
            feed(chain(repeat(("a", 1), late), [what]))


@pytest.mark.parametrize("late", [0, 5000])
def test_a_pair_may_be_any_tuple_or_list_of_two(late: int, tmp_path: Path) -> None:
    sorter = Sorter(tmp_path, MEMORY, Partitioner(None, 1, None))
    sorter.feed(chain(repeat(("a", 1), late), [["b", 2], Named("b", 3)]))
    ((_, batches),) = sorter.finish()
    assert [pair for batch in batches for pair in pairs_of(batch)][late:] == [("b", 2), ("b", 3)]


def test_an_error_of_the_iterator_itself_passes(tmp_path: Path) -> None:
    def broken() -> Iterator[Pair]:
        yield from [("a", 1)] * 100
        raise TypeError("unhashable type: mine")

    sorter = Sorter(tmp_path, MEMORY, Partitioner(None, 1, None))
    with pytest.raises(TypeError, match="mine"):
        sorter.feed(broken())


def test_decoded_blocks_of_pairs_and_groups_are_sorted_together(tmp_path: Path) -> None:
    for limit in (MEMORY, 3000):
        (scratch := tmp_path / str(limit)).mkdir()
        sorter = Sorter(scratch, limit, Partitioner(None, 1, None))
        for start in range(0, 3000, 100):
            numbers = list(range(start, start + 100))
            sorter.feed_batch(PairBatch([n * 31 % 1009 for n in numbers], list(numbers), False))
            sorter.feed_batch(PairBatch([n * 31 % 1009 for n in numbers], [[-n] for n in numbers], True))
        out = [pair for _, batches in sorter.finish() for batch in batches for pair in pairs_of(batch)]
        assert [key for key, _ in out] == sorted(key for key, _ in out)
        assert by_key(out) == by_key([(n * 31 % 1009, v) for n in range(3000) for v in (n, -n)])


def test_a_merge_of_runs_gives_each_key_in_one_row() -> None:
    runs = [
        [PairBatch(["a", "b"], [[1], [2]], True), PairBatch(["b", "c"], [[3], [4]], True)],
        [PairBatch(["b", "b", "d"], [5, 6, 7], False)],
        [],
        [PairBatch([], [], False), PairBatch(["a"], [[8]], True)],
    ]
    pairs = [pair for batch in merged(runs) for pair in pairs_of(batch)]
    assert [key for key, _ in groupby(pairs, lambda pair: pair[0])] == ["a", "b", "c", "d"]
    assert by_key(pairs) == {"a": [1, 8], "b": [2, 3, 5, 6], "c": [4], "d": [7]}


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(runs=st.lists(st.lists(st.lists(hashables | values, min_size=1, max_size=5), max_size=4), max_size=5))
def test_runs_of_any_keys_merge_into_one_order(runs: list[list[list[Any]]]) -> None:
    rows = []
    for run in runs:
        keys = sorted(chain(*run), key=sort_key)
        sizes = iter([len(batch) for batch in run])
        row, start = [], 0
        for size in sizes:
            row.append(PairBatch(keys[start : start + size], [0] * size, False))
            start += size
        rows.append(row)
    out = [sort_key(key) for batch in merged(rows) for key, _ in pairs_of(batch)]
    assert out == sorted(sort_key(key) for run in runs for key in chain(*run))


@pytest.mark.parametrize("limit", [MEMORY, 1000])
@pytest.mark.parametrize("nr", [1, 4])
def test_unsorted_pairs_stay_in_their_order_in_each_partition(limit: int, nr: int, tmp_path: Path) -> None:
    pairs = [(f"word {number % 100}", (number, "x" * (number % 50))) for number in range(10_000)]
    partitioner = Partitioner(None, nr, None)
    ordered = Ordered(tmp_path, limit, partitioner)
    ordered.feed(iter(pairs))
    with RecordWriter(tmp_path / "out", nr) as writer:
        assert ordered.finish(writer) == 10_000
    expected = sorted(pairs, key=lambda pair: partitioner.many([pair[0]])[0])
    assert list(read_pairs(tmp_path / "out")) == expected


def test_blocks_held_beside_memory_are_written_in_the_order_of_their_partitions(tmp_path: Path) -> None:
    held = Interleaved(tmp_path, 100)
    for number in range(60):
        held.add(number % 2 * 2, encode([number], ["x" * number], grouped=False))
    assert (tmp_path / "interleaved").exists()
    with RecordWriter(tmp_path / "out", 3) as writer:
        held.finish(writer)
    assert [key for key, _ in read_pairs(tmp_path / "out")] == [*range(0, 60, 2), *range(1, 60, 2)]


@pytest.mark.parametrize("keys", KEYS)
@pytest.mark.parametrize("limit", [MEMORY, NO_MEMORY])
def test_ranges_cut_sorted_keys_where_they_would_put_each(keys: str, limit: int, tmp_path: Path) -> None:
    rnd = random.Random(2)
    pairs = [(KEYS[keys](rnd), number) for number in range(20_000)]
    ranges = ranges_of([(key, 1.0) for key, _ in pairs[:500]], 5)
    sorter = Sorter(tmp_path, limit, Partitioner(ranges, 5, None))
    sorter.feed(iter(pairs))
    out = [(i, *pair) for i, row in sorter.finish() for batch in row for pair in pairs_of(batch)]
    assert {ranges(key, 5) == i for i, key, _ in out} == {True}
    assert [i for i, _, _ in out] == sorted(i for i, _, _ in out)
    assert by_key([(key, value) for _, key, value in out]) == by_key(pairs)


@pytest.mark.parametrize("nr_keys", [100, 3_000, 10**9])
@pytest.mark.parametrize("limit", [MEMORY, NO_MEMORY])
def test_columns_that_do_not_repeat_are_grouped_if_the_next_ones_repeat_them(
    nr_keys: int, limit: int, tmp_path: Path
) -> None:
    rnd = random.Random(3)
    pairs: list[Pair] = []
    sorter = Sorter(tmp_path, limit, Partitioner(None, 1, None))
    sorter.judging = False
    for source in range(6):
        first = source * 3_000
        keys = [f"word {i * 7919 % nr_keys}" for i in range(first, first + 3_000)]
        rnd.shuffle(keys)
        for start in range(0, len(keys), 500):
            values = list(range(source * 10_000 + start, source * 10_000 + start + 500))
            sorter.feed_batch(PairBatch(keys[start : start + 500], values, False))
            pairs += zip(keys[start : start + 500], values, strict=True)
        sorter.judging = True
    found = [batch for _, row in sorter.finish() for batch in row]
    out = [pair for batch in found for pair in pairs_of(batch)]
    assert by_key(out) == by_key(pairs)
    assert [key for key, _ in out] == sorted(key for key, _ in out)
    if limit == MEMORY:
        assert {batch.grouped for batch in found} == {nr_keys < 10**9}
