"""``kvgroup`` over whatever a reduce is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import pytest

from disco_rq.errors import TaskError
from disco_rq.func import kvgroup
from disco_rq.records import PairBatch
from disco_rq.shuffle.grouping import RecordStream


def stream(*batches: PairBatch) -> RecordStream:
    """The stream takes the lists over."""
    return RecordStream(iter(deepcopy(batches)), is_sorted=True)


def grouped(*groups: tuple[Any, list[Any]]) -> PairBatch:
    return PairBatch([key for key, _ in groups], [values for _, values in groups], True)


def plain(*pairs: tuple[Any, Any]) -> PairBatch:
    return PairBatch([key for key, _ in pairs], [value for _, value in pairs], False)


SHAPES = {
    "grouped": (grouped(("a", [1, 2]), ("b", [3])), grouped(("c", [4]))),
    "a group that goes on": (grouped(("a", [1])), grouped(("a", [2]), ("b", [3])), grouped(("c", [4]))),
    "a group over several batches": (
        grouped(("a", [1])),
        grouped(),
        grouped(("a", [2])),
        grouped(("b", [])),
        grouped(("b", [3])),
        grouped(("c", [4])),
    ),
    "plain": (plain(("a", 1), ("a", 2), ("b", 3)), plain(("c", 4))),
    "plain that goes on": (plain(("a", 1)), plain(("a", 2), ("b", 3), ("c", 4))),
    "both": (grouped(("a", [1])), plain(("a", 2), ("b", 3)), grouped(("c", [4]))),
}
EXPECTED = [("a", [1, 2]), ("b", [3]), ("c", [4])]


@pytest.mark.parametrize("shape", SHAPES)
def test_groups_come_whole_whatever_the_batches(shape: str) -> None:
    assert [(key, list(values)) for key, values in kvgroup(stream(*SHAPES[shape]))] == EXPECTED


@pytest.mark.parametrize("shape", SHAPES)
def test_groups_that_are_not_read_are_skipped(shape: str) -> None:
    assert [key for key, _ in kvgroup(stream(*SHAPES[shape]))] == ["a", "b", "c"]
    assert [(key, next(values)) for key, values in kvgroup(stream(*SHAPES[shape]))] == [
        ("a", 1),
        ("b", 3),
        ("c", 4),
    ]


@pytest.mark.parametrize("shape", SHAPES)
def test_pairs_come_one_by_one(shape: str) -> None:
    assert list(stream(*SHAPES[shape])) == [("a", 1), ("a", 2), ("b", 3), ("c", 4)]


def test_after_some_pairs_are_read_grouping_goes_on_from_the_next() -> None:
    pairs = stream(grouped(("a", [1, 2, 3]), ("b", [4])), grouped(("c", [5])))
    assert next(pairs) == ("a", 1)
    assert [(key, list(values)) for key, values in kvgroup(pairs)] == [("a", [2, 3]), ("b", [4]), ("c", [5])]


def test_a_plain_iterator_of_sorted_pairs_is_grouped() -> None:
    pairs = iter([("a", 1), ("a", 2), ("b", 3), ("c", 4)])
    assert [(key, list(values)) for key, values in kvgroup(pairs)] == EXPECTED
    assert [key for key, _ in kvgroup([("a", 1), ("a", 2), ("b", 3)])] == ["a", "b"]
    assert list(kvgroup(iter([]))) == []


def test_equal_keys_of_different_types_are_one_group() -> None:
    assert [
        (key, list(values)) for key, values in kvgroup([(1, "a"), (1.0, "b"), (True, "c"), (2, "d")])
    ] == [
        (1, ["a", "b", "c"]),
        (2, ["d"]),
    ]


def test_a_group_is_streamed_batch_by_batch() -> None:
    opened = []

    def batches() -> Iterator[PairBatch]:
        for number in range(1000):
            opened.append(number)
            yield grouped(("hot", [number]))

    ((key, values),) = ((key, values) for key, values in _first_group(batches()))
    assert key == "hot"
    assert next(values) == 0
    assert len(opened) == 1
    assert sum(values) == sum(range(1000))


def _first_group(batches: Iterator[PairBatch]) -> Iterator[tuple[Any, Iterator[Any]]]:
    yield next(kvgroup(RecordStream(batches, is_sorted=True)))


def test_what_is_grouped_is_not_grouped_again() -> None:
    class Word(str):
        __slots__ = ()
        compared = 0

        def __eq__(self, other: object) -> bool:
            Word.compared += 1
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    words = [Word(f"w{number}") for number in range(1000)]
    assert len(list(kvgroup(stream(grouped(*((word, [1]) for word in words)))))) == 1000
    assert Word.compared < 10


def test_pairs_that_came_by_are_counted_once() -> None:
    for read in (
        list,
        lambda pairs: list(kvgroup(pairs)),
        lambda pairs: [list(v) for _, v in kvgroup(pairs)],
    ):
        counts: list[int] = []
        read(RecordStream(iter(SHAPES["both"]), is_sorted=True, passed=counts.append))
        assert sum(counts) == 4


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("read", [lambda values: None, next, list], ids=["unread", "begun", "read"])
def test_values_left_behind_raise_whatever_was_read_of_them(shape: str, read: Callable[[Any], Any]) -> None:
    left: list[tuple[str, Iterator[Any]]] = []
    for key, values in kvgroup(stream(*SHAPES[shape])):
        for of_key, kept in left:
            with pytest.raises(TaskError, match=f"the values of the key '{of_key}' were left behind"):
                next(kept)
            with pytest.raises(TaskError, match="left behind"):
                list(kept)
        read(values)
        left.append((key, values))
    assert len(left) == 3


def test_a_loop_over_values_that_are_left_behind_in_its_midst_raises() -> None:
    groups = kvgroup(stream(*SHAPES["grouped"]))
    _, values = next(groups)
    going_on = (next(groups) for _ in values)
    assert next(going_on)[0] == "b"
    with pytest.raises(TaskError, match="the values of the key 'a' were left behind"):
        next(going_on)
