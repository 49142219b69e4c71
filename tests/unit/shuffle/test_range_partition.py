"""``func.make_range_partition``: numbers of all kinds go to the range that they are in."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from disco_rq.errors import PartitionError
from disco_rq.func import make_range_partition
from disco_rq.shuffle.partition import Partitioner
from disco_rq.shuffle.sortorder import places_by


@pytest.mark.parametrize("as_key", [int, str])
def test_a_range_partition_gives_equal_ranges_in_ascending_order(as_key: Any) -> None:
    partition = make_range_partition(0, 99)
    parts = [partition(as_key(i), 4, None) for i in range(100)]
    assert parts == [0] * 25 + [1] * 25 + [2] * 25 + [3] * 25
    assert [partition(key, 4, None) for key in (0.5, 98.9, 99)] == [0, 3, 3]


@pytest.mark.parametrize("ends", [(0, 1000), (-3.5, 0.3), (0, 0.3)])
@given(st.lists(st.floats(0, 1), min_size=1), st.booleans(), st.integers(1, 9))
def test_a_range_partition_answers_for_many_keys_what_it_does_for_each(
    ends: tuple[float, float], shares: list[float], whole: bool, nr: int
) -> None:
    partition = make_range_partition(*ends)
    keys: list[float] = [min(ends[0] + share * (ends[1] - ends[0]), ends[1]) for share in shares]
    keys = list(map(int, keys)) if whole else keys
    parts = [partition(key, nr) for key in keys]
    assert partition.many(keys, nr) in (parts, None)
    places = places_by(keys)
    assert partition.ends(keys, places, nr) == [sum(part < i for part in parts) for i in range(1, nr)]
    found = dict(Partitioner(partition, nr, None).shares(keys, keys))
    assert found == {part: [place for place in places if parts[place] == part] for part in parts}


def test_a_key_just_below_the_end_of_a_range_partition_is_in_its_last_range() -> None:
    partition = make_range_partition(-3, 0.3)
    assert partition(math.nextafter(0.3, 0), 7) == 6


@pytest.mark.parametrize("kind", [float, Decimal, Fraction, np.float64, np.float32])
def test_a_range_partition_takes_numbers_of_any_kind_for_what_they_are(kind: Any) -> None:
    partition = make_range_partition(0, 1)
    assert [partition(kind(i / 64), 8) for i in range(64)] == [i // 8 for i in range(64)]
    found = Partitioner(partition, 8, None).many([kind(i / 64) for i in range(65)])
    assert found == [*(i // 8 for i in range(64)), 7]


@given(st.integers(-(2**70), 2**70), st.integers(1, 2**70), st.floats(0, 1), st.integers(1, 9))
def test_a_range_partition_gives_equal_numbers_one_range_and_greater_ones_no_earlier_one(
    least: int, width: int, share: float, nr: int
) -> None:
    number = float(min(max(least + share * width, least), least + width))
    partition = make_range_partition(least, least + width)
    around: list[Any] = [math.floor(number), number, Decimal(number), Fraction(number), math.ceil(number)]
    parts = [partition(key, nr) for key in around]
    assert len(set(parts[1:4])) == 1
    inside = [part for part in parts if part >= 0]
    assert inside == sorted(inside)


@pytest.mark.parametrize(
    "ends", [(0, 3), (2**60, 2**60 + 3), (-(2**60) - 3, -(2**60)), (10**400, 10**400 + 3)]
)
def test_a_range_partition_of_large_whole_numbers_is_exact(ends: tuple[int, int]) -> None:
    assert [make_range_partition(*ends)(key, 3) for key in range(ends[0], ends[1] + 1)] == [0, 1, 2, 2]


@pytest.mark.parametrize(
    "key",
    [-1, 101, Decimal("-0.5"), Decimal("100.5"), np.float64(-0.5), math.nan, Decimal("nan"), "101"],
)
def test_a_key_outside_the_range_ends_in_a_partition_error(key: Any) -> None:
    for keys in ([key], [1, key, 2], [1.5, key, 2.5]):
        with pytest.raises(PartitionError, match=re.escape(repr(key))):
            Partitioner(make_range_partition(0, 100), 4, None).many(keys)


@pytest.mark.parametrize("ends", [(3, 3), (3, 2), (0, math.inf), (-math.inf, 0), (math.nan, 1)])
def test_a_range_that_is_none_is_refused(ends: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match=f"{ends[0]}.*{ends[1]}"):
        make_range_partition(*ends)
