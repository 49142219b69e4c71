"""What a ready-made combiner holds in a map, and what it sends on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from disco_rq import func
from disco_rq.errors import TaskError
from disco_rq.shuffle import folded
from disco_rq.shuffle.folding import Fold, FoldCombiner, Folded, equal_as
from disco_rq.shuffle.memory import average_bytes


class Longest(Fold):
    """Tells how much was held at once."""

    name = "longest"
    grows = True
    most = 0

    def add(self, state: list[Any] | None, value: Any) -> list[Any]:
        return [*(state or []), value]

    def parts(self, state: list[Any]) -> Iterable[Any]:
        type(self).most = max(self.most, int(len(state) * average_bytes(state)))
        return state

    def result(self, state: list[Any]) -> Any:
        return len(state)


def test_parts_are_sent_on_when_what_is_held_grows_towards_the_limit() -> None:
    values = [str(number) * 1000 for number in range(1000)]
    pairs: Iterator[Any] = (("one key", value) for value in values)

    sent = list(folded(pairs, FoldCombiner(Longest()), 1 << 20))

    assert sent == [("one key", value) for value in values]
    assert 0 < Longest.most <= 1 << 20


def test_a_combiner_holds_no_more_keys_than_its_limit_and_loses_none() -> None:
    combiner, reduce = func.max_of_group()
    assert isinstance(combiner, FoldCombiner)
    pairs = [(f"key{number % 20_000}", number) for number in range(60_000)]

    sent = list(folded(iter(pairs), combiner, 1 << 20))

    assert 20_000 < len(sent) <= 60_000  # some keys in parts
    assert dict(reduce(sent, None)) == dict(pairs)


def test_what_was_given_out_is_folded_as_it_was() -> None:
    row: dict[str, int] = {}

    def pairs() -> Iterator[Any]:
        for number in (3, 1, 2):
            row["n"] = number
            yield [number % 2], row

    combiner, reduce = func.max_of_group()
    assert isinstance(combiner, FoldCombiner)
    assert sorted(reduce(folded(pairs(), combiner, 1 << 20), None)) == [([0], {"n": 2}), ([1], {"n": 3})]


@pytest.mark.parametrize(
    ("one", "other"), [(1, 1.0), ([1, {2}], [True, frozenset({2.0})]), (float("nan"), float("nan")), ({}, {})]
)
def test_what_is_equal_is_held_as_one(one: Any, other: Any) -> None:
    assert hash(equal_as(one)) == hash(equal_as(other))
    assert equal_as(one) == equal_as(other)


@pytest.mark.parametrize(("one", "other"), [("1", 1), ((1,), [1]), (b"a", "a"), (None, 0), ((1, 0), 0)])
def test_what_differs_is_held_apart(one: Any, other: Any) -> None:
    assert equal_as(one) != equal_as(other)


def test_a_key_of_which_no_equality_is_known_is_refused_by_type() -> None:
    class Bare:
        __hash__ = None  # type: ignore[assignment]

    with pytest.raises(TaskError, match=r"nothing tells which of the type .*Bare are equal"):
        Folded(Longest()).add(Bare(), 1)
