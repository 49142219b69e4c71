"""Ranges of keys of about equal weight, from a sample of them."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disco_rq import func
from disco_rq.errors import DiscoError, RecordTypeError
from disco_rq.shuffle.partition import Partitioner
from disco_rq.shuffle.ranges import Ranges, ranges_of
from disco_rq.shuffle.sortorder import sort_key
from tests.unit.records.test_records import values

MIXED = [None, math.nan, Decimal("NaN"), 1, 1.0, True, -5, "a", b"a", (1, "a"), (1, None), "b", [1], {"a": 1}]


def once(keys: list[Any]) -> list[tuple[Any, float]]:
    return [(key, 1.0) for key in keys]


@given(keys=st.lists(values, min_size=1, max_size=40), nr=st.integers(2, 9))
def test_partitions_ascend_and_equal_keys_stay_together(keys: list[Any], nr: int) -> None:
    ranges = Ranges.unpack(ranges_of(once(keys), nr).pack())
    parts = Partitioner(ranges, nr, None).many(keys)
    assert parts == [ranges(key, nr) for key in keys]
    assert all(0 <= part < nr for part in parts)
    for one, other in zip(sorted(keys, key=sort_key), sorted(keys, key=sort_key)[1:], strict=False):
        assert ranges(one, nr) <= ranges(other, nr)
        assert ranges(one, nr) == ranges(other, nr) or sort_key(one) != sort_key(other)


KEYS: dict[str, Callable[[random.Random], Any]] = {
    "uniform": lambda rnd: rnd.random(),
    "skewed": lambda rnd: int(rnd.paretovariate(0.5)),
    "words": lambda rnd: f"word {rnd.randrange(10**6)}",
    "few": lambda rnd: rnd.randrange(6),
    "one often": lambda rnd: "often" if rnd.random() < 0.4 else f"w{rnd.randrange(10**6)}",
    "mixed": lambda rnd: rnd.choice(MIXED),
}


@pytest.mark.parametrize("keys", KEYS)
@pytest.mark.parametrize("nr", [2, 7, 20])
def test_no_range_is_twice_as_heavy_as_it_must_be(keys: str, nr: int) -> None:
    rnd = random.Random(5)
    all_keys = [KEYS[keys](rnd) for _ in range(20_000)]
    ranges = ranges_of(once(rnd.sample(all_keys, 4_000)), nr)
    found = Counter(Partitioner(ranges, nr, None).many(all_keys))
    heaviest_key = max(Counter(map(sort_key, all_keys)).values())
    assert max(found.values()) <= 2 * max(len(all_keys) / nr, heaviest_key)


def test_weights_count_and_not_the_number_of_keys() -> None:
    sample = [(n, 1.0) for n in range(100)] + [(n, 10.0) for n in range(100, 110)]
    ranges = ranges_of(sample, 2)
    assert [ranges(99, 2), ranges(100, 2)] == [0, 1]


def test_no_key_at_all_makes_one_range() -> None:
    assert Partitioner(ranges_of([], 4), 4, None).many([1, "a"]) == [0, 0]


def test_keys_without_order_are_no_bounds_and_are_refused_by_type() -> None:
    ranges = ranges_of([(object(), 1.0), (1, 1.0), (2, 1.0)], 2)
    assert (ranges(1, 2), ranges(2, 2)) == (0, 1)
    with pytest.raises(RecordTypeError, match="no order of keys of the type object"):
        Partitioner(ranges, 2, None).many([1, object()])


def test_huge_keys_make_fewer_ranges_and_not_a_huge_record() -> None:
    ranges = ranges_of([(f"{n:03}" + "x" * 100_000, 1.0) for n in range(64)], 64)
    assert len(ranges.pack()) <= 1 << 20
    assert Ranges.unpack(ranges.pack())("999", 64) < 64


def test_it_is_an_argument_and_not_called() -> None:
    with pytest.raises(DiscoError, match=r"partition=func\.total_order"):
        func.total_order("a", 2)
