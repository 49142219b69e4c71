"""``sort_values``: the values of a key in ascending order, whatever is spilled and merged."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from disco_rq.errors import RecordTypeError
from disco_rq.records import PairBatch
from disco_rq.shuffle.grouping import RecordStream, kvgroup, pairs_of
from disco_rq.shuffle.partition import Partitioner
from disco_rq.shuffle.sorter import Sorter
from disco_rq.shuffle.sortorder import sort_key
from tests.unit.records.test_records import values

Pair = tuple[Any, Any]
MEMORY, NO_MEMORY = 1 << 30, 20_000
MIXED = [
    None,
    True,
    1,
    1.0,
    -0.0,
    2**70,
    math.nan,
    Decimal("1.5"),
    "a",
    "ä",
    b"a",
    (1, "a"),
    [2],
    {1},
    {"a": 1},
]


def in_order(scratch: Path, limit: int, pairs: list[Pair], nr: int = 1) -> list[list[PairBatch]]:
    sorter = Sorter(scratch, limit, Partitioner(None, nr, None), values=True)
    sorter.feed(iter(pairs))
    return [list(batches) for _, batches in sorter.finish()]


def told(pairs: list[Pair]) -> list[str]:
    """The pairs as they are: 1, 1.0 and True are equal, and three values."""
    return sorted(map(repr, pairs))


@pytest.mark.parametrize("limit", [MEMORY, NO_MEMORY])
@pytest.mark.parametrize("nr", [1, 3])
@pytest.mark.parametrize("kind", ["numbers", "words", "mixed"])
def test_values_ascend_within_each_key_and_none_is_changed(
    kind: str, nr: int, limit: int, tmp_path: Path
) -> None:
    rnd = random.Random(2)
    kinds: dict[str, Callable[[], Any]] = {
        "numbers": lambda: rnd.choice([rnd.randrange(50), rnd.random()]),
        "words": lambda: f"v{rnd.randrange(1000)}",
        "mixed": lambda: rnd.choice(MIXED),
    }
    pairs = [(f"key {rnd.randrange(20)}", kinds[kind]()) for _ in range(5_000)]
    given_out = []
    for batches in in_order(tmp_path, limit, pairs, nr):
        some = [pair for batch in batches for pair in pairs_of(batch)]
        marks = [(sort_key(key), sort_key(value)) for key, value in some]
        assert marks == sorted(marks)
        given_out += some
    assert told(given_out) == told(pairs)
    assert bool(list(tmp_path.iterdir())) == (limit == NO_MEMORY)


@given(pairs=st.lists(st.tuples(st.sampled_from([1, 1.0, "a", None, math.nan]), values), max_size=30))
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_order_is_the_same_spilled_or_not(tmp_path: Path, pairs: list[Pair]) -> None:
    def order(limit: int) -> list[tuple[Any, Any]]:
        batches = [batch for row in in_order(tmp_path, limit, pairs) for batch in row]
        return [(sort_key(key), sort_key(value)) for batch in batches for key, value in pairs_of(batch)]

    assert order(MEMORY) == order(1)


@pytest.mark.parametrize("limit", [MEMORY, NO_MEMORY])
def test_one_key_in_many_blocks_is_one_group_in_order(limit: int, tmp_path: Path) -> None:
    numbers = list(range(30_000))
    random.Random(3).shuffle(numbers)
    (batches,) = in_order(tmp_path, limit, [("one", number) for number in numbers])
    assert [(key, list(some)) for key, some in kvgroup(RecordStream(batches, is_sorted=True))] == [
        ("one", list(range(30_000)))
    ]


def test_grouped_batches_are_taken_apart_and_sorted(tmp_path: Path) -> None:
    sorter = Sorter(tmp_path, MEMORY, Partitioner(None, 1, None), objects=True, values=True)
    sorter.feed_batch(PairBatch(["a", "b"], [[3, 1], [2]], True))
    sorter.feed_batch(PairBatch(["a", "b"], [2, 1], False))
    ((_, batches),) = sorter.finish()
    assert [pair for batch in batches for pair in pairs_of(batch)] == [
        *(("a", number) for number in (1, 2, 3)),
        *(("b", number) for number in (1, 2)),
    ]


class Opaque:
    def __repr__(self) -> str:
        return "<it>"


@pytest.mark.parametrize("value", [Opaque(), [1, Opaque()], {"a": (Opaque(),)}, 1j])
def test_a_value_without_order_is_refused_by_its_type_and_key(value: Any, tmp_path: Path) -> None:
    kind = "complex" if value == 1j else r"\S*Opaque"
    with pytest.raises(
        RecordTypeError, match=rf"sort_values knows no order of values of the type {kind}.*'k'"
    ):
        in_order(tmp_path, MEMORY, [("k", 1), ("k", value)])
