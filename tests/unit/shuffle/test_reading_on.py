"""A reduce may read its pairs in several ways, one after the other: each goes on with what was not read."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from itertools import chain, islice, repeat
from pathlib import Path
from typing import Any

import pytest

from disco_rq import func
from disco_rq.errors import RecordTypeError, TaskError
from disco_rq.func import kvgroup
from disco_rq.records import PairBatch
from disco_rq.shuffle.grouping import RecordStream
from tests.unit.stages.test_stages import Job

Pairs = Iterator[tuple[Any, Any]]
KEYS = "abcdefg"
ALL = [(key, i) for key in KEYS for i in range(3)]
SUMS = [(key, 3) for key in KEYS]


def grouped(size: int) -> list[PairBatch]:
    return [
        PairBatch([*KEYS[i : i + size]], [[0, 1, 2] for _ in KEYS[i : i + size]], True)
        for i in range(0, 7, size)
    ]


def plain(size: int) -> list[PairBatch]:
    runs = [ALL[i : i + size] for i in range(0, len(ALL), size)]
    return [PairBatch([key for key, _ in run], [value for _, value in run], False) for run in runs]


SHAPES: dict[str, Callable[[], list[PairBatch]]] = {
    "one batch of groups": lambda: grouped(7),
    "batches of groups": lambda: grouped(3),
    "one batch of pairs": lambda: plain(21),
    "groups over batches of pairs": lambda: plain(2),
}


@pytest.fixture(params=SHAPES)
def pairs(request: pytest.FixtureRequest) -> RecordStream:
    return RecordStream(SHAPES[request.param](), is_sorted=True)


def sums(pairs: Pairs, count: int | None = None) -> list[tuple[Any, int]]:
    return [(key, sum(values)) for key, values in islice(kvgroup(pairs), count)]


@pytest.mark.parametrize("count", [1, 3, 4, 7])
def test_a_second_kvgroup_goes_on_where_the_first_was_left(pairs: RecordStream, count: int) -> None:
    assert sums(pairs, count) + sums(pairs) == SUMS


@pytest.mark.parametrize("again", [lambda pairs: pairs, iter], ids=["pairs", "iter(pairs)"])
def test_a_group_that_was_only_looked_at_comes_again_from_a_second_kvgroup(
    pairs: RecordStream, again: Callable[[RecordStream], Pairs]
) -> None:
    assert next(kvgroup(pairs))[0] == "a"
    assert sums(again(pairs)) == SUMS


def test_a_second_kvgroup_gives_the_values_of_a_group_that_were_not_read(pairs: RecordStream) -> None:
    _, values = next(kvgroup(pairs))
    assert next(values) == 0
    assert [(key, list(some)) for key, some in islice(kvgroup(pairs), 2)] == [("a", [1, 2]), ("b", [0, 1, 2])]
    with pytest.raises(TaskError, match="the values of the key 'a' were left behind"):
        next(values)


@pytest.mark.parametrize("count", [1, 3, 4, 7])
@pytest.mark.parametrize("taken_before", [False, True])
def test_a_loop_over_the_pairs_goes_on_where_kvgroup_was_left(
    pairs: RecordStream, count: int, taken_before: bool
) -> None:
    loop: Iterator[Any] = iter(pairs) if taken_before else chain.from_iterable(map(iter, repeat(pairs, 1)))
    first = [(key, value) for key, values in islice(kvgroup(pairs), count) for value in values]
    assert first + list(loop) == ALL


@pytest.mark.parametrize("count", range(5))
def test_kvgroup_and_single_pairs_in_turn_give_each_pair_once(pairs: RecordStream, count: int) -> None:
    found = list(islice(pairs, count))
    for key, values in kvgroup(pairs):
        found += [(key, value) for value in values]
        found += islice(pairs, count)
    assert found == ALL


def test_a_pair_that_is_read_within_a_group_is_the_next_of_its_values(pairs: RecordStream) -> None:
    found = []
    for key, values in kvgroup(pairs):
        for value in values:
            found.append((key, value))
            found += islice(pairs, 1)
    assert found == ALL


def test_two_kvgroups_in_turn_give_each_pair_once(pairs: RecordStream) -> None:
    both = [kvgroup(pairs), kvgroup(pairs)]
    found = []
    for groups in chain.from_iterable(repeat(both)):
        some = [(key, value) for key, values in islice(groups, 1) for value in values]
        if not some:
            break
        found += some
    assert found == ALL


def test_two_kvgroups_that_read_no_values_come_to_an_end(pairs: RecordStream) -> None:
    assert [(one, two) for (one, _), (two, _) in zip(kvgroup(pairs), kvgroup(pairs), strict=False)] == [
        (key, key) for key in KEYS
    ]


def test_after_the_last_group_there_is_nothing_to_read(pairs: RecordStream) -> None:
    assert [key for key, _ in kvgroup(pairs)] == [*KEYS]
    assert list(kvgroup(pairs)) == list(pairs) == []
    assert not pairs.grouping


def test_an_error_names_the_key_that_is_read(pairs: RecordStream) -> None:
    sums(pairs, 2)
    assert (pairs.grouping, pairs.key) == (True, "b")
    assert next(pairs) == ("c", 0)
    assert pairs.key == "c"


def counted(entry: str, params: Any) -> Iterator[tuple[int, int]]:
    return zip(range(1000), repeat(1))


def first_group(pairs: Pairs, params: Any) -> None:
    params["first"] = sums(pairs, 1)


def looks_at_a_group(pairs: Pairs, params: Any) -> None:
    params["first"] = []
    for _ in kvgroup(pairs):
        break


def the_rest(pairs: Pairs, params: Any) -> list[tuple[Any, int]]:
    return [*params["first"], *sums(pairs)]


def first_and_sum(pairs: Pairs, out: Any, params: Any) -> None:
    out.extend(params["first"])
    func.sum_reduce(pairs, out, params)


def first_and_nop(pairs: Pairs, out: Any, params: Any) -> None:
    out.extend(params["first"])
    func.nop_reduce(pairs, out, params)


@pytest.mark.parametrize("init", [first_group, looks_at_a_group])
@pytest.mark.parametrize("reduce", [the_rest, first_and_sum, first_and_nop])
def test_what_reduce_init_does_not_read_of_kvgroup_the_reduce_gets(
    init: Any, reduce: Any, tmp_path: Path
) -> None:
    job = Job(tmp_path, {"map": counted, "reduce_init": init, "reduce": reduce, "params": {}, "sort": True})
    assert job.run("raw://x") == [[(i, 1) for i in range(1000)]]


def test_nop_reduce_gives_out_what_reduce_init_does_not_read(tmp_path: Path) -> None:
    settings = {"map": counted, "reduce_init": looks_at_a_group, "reduce": func.nop_reduce, "params": {}}
    assert Job(tmp_path, settings | {"sort": True}).run("raw://x") == [[(i, 1) for i in range(1000)]]


@pytest.mark.parametrize(
    "given", [lambda v: v, lambda v: [v], lambda v: {"all": v}], ids=["it", "list", "dict"]
)
def test_the_values_of_kvgroup_given_out_are_refused_by_that_name(given: Any, tmp_path: Path) -> None:
    def reduce(pairs: Pairs, params: Any) -> Iterator[tuple[Any, Any]]:
        return ((key, given(values)) for key, values in kvgroup(pairs))

    told = r"a key or value is kvgroup's values, which records do not hold .*: give out list.values."
    with pytest.raises(RecordTypeError, match=told):
        Job(tmp_path, {"map": counted, "reduce": reduce, "sort": True}).run("raw://x")


def test_another_iterator_given_out_is_refused_with_its_type_and_what_to_do(tmp_path: Path) -> None:
    job = Job(tmp_path, {"map": lambda e, params: [(e, (c for c in e))]})
    with pytest.raises(RecordTypeError, match=r"the type generator, .* only once: give out list"):
        job.map("raw://x")


def test_the_values_of_kvgroup_are_not_pickled(pairs: RecordStream) -> None:
    _, values = next(kvgroup(pairs))
    with pytest.raises(TypeError, match="kvgroup's values cannot be pickled"):
        pickle.dumps(values)
