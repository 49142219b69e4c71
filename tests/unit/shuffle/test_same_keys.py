"""Which keys are one key, in every way to sort and group them, and which have no order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from disco_rq.errors import RecordTypeError
from disco_rq.func import kvgroup
from disco_rq.shuffle.grouping import RecordStream
from disco_rq.shuffle.partition import Partitioner, default_partition
from disco_rq.shuffle.sorter import Sorter

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
NAN = float("nan")
ONE_KEY: dict[str, list[Any]] = {
    "one": [1, 1.0, True, Decimal(1), Decimal("1.00"), np.int64(1), np.float32(1), np.bool_(True)],
    "zero": [0, 0.0, -0.0, False, Decimal("-0"), Decimal("0E+10")],
    "half": [0.5, Decimal("0.5"), Decimal("0.50"), np.float64(0.5)],
    "tenth": [Decimal("0.1"), Decimal("0.100")],
    "large": [10**30, (1e30).__class__(10**30) and 10**30, Decimal("1E+30")],
    "infinite": [float("inf"), Decimal("Infinity")],
    "nan": [NAN, float("nan"), Decimal("NaN"), Decimal("-NaN7"), np.float64("nan"), Decimal("sNaN")],
    "nan in a tuple": [("a", NAN), ("a", float("nan")), ("a", Decimal("NaN"))],
    "nan in a list": [["a", NAN], ["a", float("nan")]],
    "moment": [NOON, NOON.astimezone(timezone(timedelta(hours=5)))],
    "moment in a list": [[NOON], [NOON.astimezone(timezone(timedelta(hours=5)))]],
    "time": [time(12, tzinfo=UTC), time(14, tzinfo=timezone(timedelta(hours=2)))],
    "set": [{1, 2}, frozenset({2, 1.0})],
    "dict": [{"a": 1, "b": 2}, {"b": Decimal(2), "a": 1.0}],
    "text": ["a", np.str_("a")],
}
KINDS = [date(2024, 1, 1), timedelta(1), UUID(int=1), Decimal("1.5"), time(1), None, "a", (1, "a"), NOON]


def groups(pairs: list[Any], scratch: Path, limit_bytes: int) -> list[tuple[Any, list[Any]]]:
    """Sorted and grouped."""
    sorter = Sorter(scratch, limit_bytes, Partitioner(None, 1, None))
    sorter.feed(iter(pairs))
    rows: Iterator[Any] = (batch for _, row in sorter.finish() for batch in row)
    return [(key, list(values)) for key, values in kvgroup(RecordStream(rows, is_sorted=True))]


@pytest.mark.parametrize("limit_bytes", [1 << 30, 20_000])
@pytest.mark.parametrize("others", [[], [["unhashable"]], ["another", None, (1, 2)]], ids=repr)
@pytest.mark.parametrize("name", ONE_KEY)
def test_keys_that_are_one_are_one_group(
    name: str, others: list[Any], limit_bytes: int, tmp_path: Path
) -> None:
    keys = ONE_KEY[name]
    found = groups([(key, n) for n in range(200) for key in [*keys, *others]], tmp_path, limit_bytes)
    assert Counter(len(values) for _, values in found) == Counter([200 * len(keys), *[200] * len(others)])


@pytest.mark.parametrize("name", ONE_KEY)
def test_keys_that_are_one_go_to_one_partition(name: str) -> None:
    for nr_reduces in (2, 7, 1000):
        assert len({default_partition(key, nr_reduces) for key in ONE_KEY[name]}) == 1


@pytest.mark.parametrize("limit_bytes", [1 << 30, 20_000])
def test_kept_types_sort_and_group(limit_bytes: int, tmp_path: Path) -> None:
    days = [date(2024, 1, 1) + timedelta(n % 30) for n in range(1000)]
    assert [key for key, _ in groups([(day, 1) for day in days], tmp_path, limit_bytes)] == sorted(set(days))


def test_kinds_of_keys_do_not_mix_up(tmp_path: Path) -> None:
    found = groups([(key, n) for n in range(3) for key in KINDS], tmp_path, 1 << 20)
    assert [values for _, values in found] == [[0, 1, 2]] * len(KINDS)


class Thing:
    """Has no order, and no equality but its own."""


class Level(IntEnum):
    LOW = 1


@pytest.mark.parametrize(
    "key", [Thing(), [Thing()], Level.LOW, complex(1)], ids=["object", "inside", "enum", "complex"]
)
def test_a_key_without_an_order_is_refused_by_its_type(key: Any, tmp_path: Path) -> None:
    with pytest.raises(RecordTypeError, match=r"no order of keys of the type .*(Thing|Level|complex)"):
        groups([("a", 1), (key, 2)], tmp_path, 1 << 20)


@pytest.mark.parametrize("key", KINDS, ids=repr)
def test_every_kind_of_key_spreads_or_has_a_partition(key: Any) -> None:
    assert 0 <= default_partition((key, [key]), 7) < 7
    assert 0 <= default_partition(key, 7) < 7


class Moment(datetime):
    """As pandas and others have it."""


@pytest.mark.parametrize(
    "same",
    [
        (1, Fraction(1), 1 + 0j, 1.0, Decimal(1)),
        (Fraction(1, 2), 0.5, Decimal("0.50"), 0.5 + 0j),
        (Fraction(-1, 10), Decimal("-0.1")),
        (Fraction(7, 40), Decimal("0.175")),
        (Fraction(10**30), 10**30, Decimal("1E+30")),
        (Moment(2024, 1, 1, 12, tzinfo=UTC), datetime(2024, 1, 1, 13, tzinfo=timezone(timedelta(hours=1)))),
    ],
    ids=str,
)
def test_numbers_and_moments_of_other_types_go_where_their_equals_go(same: tuple[Any, ...]) -> None:
    assert len(set(same)) == 1
    assert len({default_partition(key, 10**6) for key in same}) == 1


def test_numbers_that_no_plain_one_is_equal_to_spread() -> None:
    assert len({default_partition(Fraction(i, 7), 100) for i in range(1, 100)}) > 50
    assert len({default_partition(complex(1, i), 100) for i in range(100)}) > 50


def test_an_enum_and_the_number_that_is_equal_go_to_one_partition() -> None:
    assert {default_partition(key, 1000) for key in (Level.LOW, 1)} == {default_partition(1, 1000)}
