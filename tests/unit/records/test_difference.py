"""The first pair in which two outputs of a partition differ."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from disco_rq.errors import CorruptData
from disco_rq.records import OnePair, first_difference
from disco_rq.records import difference as module
from disco_rq.records.blocks import Block, Kind
from disco_rq.records.typed import pack_columns

Pairs = list[tuple[Any, Any]]


def output(*blocks: Pairs, breaks: bool = False) -> Any:
    """An output of these blocks; one that ``breaks`` cannot be read to its end."""

    def read() -> Iterator[Block]:
        for pairs in blocks:
            data = pack_columns([key for key, _ in pairs], [value for _, value in pairs], grouped=False)
            yield Block(Kind.PAIRS, 0, 0, len(pairs), data)
        if breaks:
            raise CorruptData("altered", "disco://n1/out")

    return read


def grouped(*groups: tuple[Any, list[Any]]) -> Any:
    def read() -> Iterator[Block]:
        data = pack_columns([key for key, _ in groups], [values for _, values in groups], grouped=True)
        yield Block(Kind.GROUPS, 0, 0, sum(len(values) for _, values in groups), data)

    return read


SAME: list[tuple[Any, Any]] = [
    (output(), output()),
    (output([("a", 1), ("b", 2)]), output([("b", 2)], [("a", 1)])),
    (output([("a", 1), ("a", 2)]), grouped(("a", [2, 1]))),
    (output([({"x": {1, 2}}, (1,))]), output([({"x": {2, 1}}, (1,))])),
]
DIFFERENT: list[tuple[Any, Any, OnePair]] = [
    (output([("a", 1), ("b", 2)]), output([("a", 1), ("b", 3)]), OnePair("b", 2)),
    (output([("a", 1)]), output([("a", 1), ("c", 1)]), OnePair("c", 1)),
    (output([("a", 1), ("a", 1)]), output([("a", 1)]), OnePair("a", 1)),
    (grouped(("a", [1, 2])), grouped(("a", [1, 3])), OnePair("a", 2)),
]


@pytest.mark.parametrize(("old", "new"), SAME)
def test_outputs_of_the_same_pairs_do_not_differ(old: Any, new: Any) -> None:
    assert first_difference(old, new) is None


@pytest.mark.parametrize(("old", "new", "pair"), DIFFERENT)
def test_the_first_pair_that_one_has_more_often(old: Any, new: Any, pair: OnePair) -> None:
    assert first_difference(old, new) == pair


def test_what_can_be_read_of_the_old_one_is_enough_if_it_is_missing_in_the_new_one() -> None:
    old = output([("a", 1), ("b", 2)], breaks=True)

    assert first_difference(old, output([("a", 1), ("c", 3)])) == OnePair("b", 2)


def test_what_the_new_one_has_besides_says_nothing_where_the_old_one_is_not_whole() -> None:
    assert first_difference(output([("a", 1)], breaks=True), output([("a", 1), ("c", 3)])) is None
    assert first_difference(output([("a", 1)]), output([("b", 1)], breaks=True)) is None


def test_the_bytes_of_a_user_have_no_keys() -> None:
    def opaque() -> Iterator[Block]:
        yield Block(Kind.OPAQUE, 0, 0, 1, b"x")

    assert first_difference(opaque, output([("a", 1)])) is None


def test_of_very_many_pairs_a_part_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_PAIRS", 50)
    old = output(*([(i, 0) for i in range(n, n + 10)] for n in range(0, 1000, 10)))
    new = output(*([(i, 1) for i in range(n, n + 10)] for n in range(0, 1000, 10)))

    pair = first_difference(old, new)

    assert pair is not None
    assert pair.value == 0
