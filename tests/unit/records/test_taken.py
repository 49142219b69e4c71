"""What is taken is as it was then; scalars of numpy are the equal Python values; all kept types come back."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict, namedtuple
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import IntEnum
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from disco_rq.errors import RecordTypeError
from disco_rq.records.taken import one_nan, taken
from disco_rq.records.typed import pack_columns, unpack_columns

BERLIN = ZoneInfo("Europe/Berlin")
VALUES = [
    date(2024, 2, 29),
    date.min,
    date.max,
    time(1, 2, 3, 4),
    time(1, 2, 3, fold=1, tzinfo=BERLIN),
    time(23, 59, tzinfo=UTC),
    datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=BERLIN),
    timedelta.min,
    timedelta.max,
    timedelta(microseconds=-1),
    Decimal("1.10"),
    Decimal("-0"),
    Decimal("1E+999999"),
    Decimal("-Infinity"),
    UUID(int=2**128 - 1),
    10**100,
    -(10**40),
    "\ud800",
]


def through(*values: Any) -> list[Any]:
    """The values, packed and unpacked again."""
    return unpack_columns(pack_columns(list(range(len(values))), list(values), grouped=False), grouped=False)[
        1
    ]


@pytest.mark.parametrize("value", VALUES)
def test_it_comes_back_as_it_went_in_alone_and_inside_others(value: Any) -> None:
    wrapped = [value, [value], (value, (value,)), {"k": value}, {value: 1}, {value}, frozenset({value})]
    back = through(*wrapped)
    assert back == wrapped
    assert repr(back) == repr(wrapped)


def test_a_signaling_nan_of_decimal_comes_back() -> None:
    [quiet, signaling] = through(Decimal("NaN123"), Decimal("sNaN"))
    assert (str(quiet), str(signaling)) == ("NaN123", "sNaN")


@pytest.mark.parametrize(
    ("scalar", "expected"),
    [
        (np.int64(-3), -3),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (np.float32(0.1), float(np.float32(0.1))),
        (np.float64(0.1), 0.1),
        (np.longdouble(0.5), 0.5),
        (np.bool_(True), True),
        (np.str_("né"), "né"),
        (np.bytes_(b"a\0"), b"a\0"),
        (np.datetime64("2024-01-02"), date(2024, 1, 2)),
        (np.datetime64("2024-01-02T03:04:05.000006"), datetime(2024, 1, 2, 3, 4, 5, 6)),  # noqa: DTZ001
        (np.datetime64("2024-01-02T03:04:05.000006000", "ns"), datetime(2024, 1, 2, 3, 4, 5, 6)),  # noqa: DTZ001
        (np.timedelta64(5, "s"), timedelta(seconds=5)),
        (np.timedelta64(5000, "ns"), timedelta(microseconds=5)),
    ],
)
def test_a_scalar_of_numpy_is_the_equal_python_value_also_inside_others(scalar: Any, expected: Any) -> None:
    for given, wanted in [
        (scalar, expected),
        ([(scalar,)], [(expected,)]),
        ({scalar: {scalar}}, {expected: {expected}}),
    ]:
        found = taken(given)
        assert found == wanted
        assert repr(found) == repr(wanted)


def test_the_nan_of_numpy_is_a_float() -> None:
    found = taken(np.float32("nan"))
    assert type(found) is float
    assert math.isnan(found)


class Colour(IntEnum):
    RED = 1


Point = namedtuple("Point", "x y")


@pytest.mark.parametrize(
    "value",
    [
        np.datetime64("2024-01-02T03:04:05.000000001", "ns"),
        np.datetime64("NaT", "s"),
        np.timedelta64(1, "Y"),
        np.complex128(1),
        np.array([1]),
        np.void(b"a"),
        Colour.RED,
        Point(1, 2),
        OrderedDict(a=1),
        Counter("a"),
        bytearray(b"a"),
        type("Text", (str,), {})("a"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_has_no_equal_value_of_a_plain_type_is_refused_by_type_and_key(value: Any) -> None:
    with pytest.raises(RecordTypeError, match=rf"{type(value).__name__}.*the key is 'this one'"):
        pack_columns(["other", "this one"], [1, taken(value)], grouped=False)


def test_what_is_taken_does_not_change_with_what_was_given() -> None:
    inner: Any = {"n": [0]}
    given = [inner, (inner, 1), {"k": {1}}]
    found = taken(given)
    inner["n"].append(1)
    inner["m"] = 2
    given[2]["k"].add(2)
    assert found == [{"n": [0]}, ({"n": [0]}, 1), {"k": {1}}]


def test_what_cannot_change_is_not_copied() -> None:
    given = ("a", (1, frozenset({2})), b"", None)
    assert taken(given)[1] == given[1]
    assert taken(("a", 1)) is not None
    plain = ("a", 1, 2.0)
    assert taken(plain) is plain


def test_what_holds_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(RecordTypeError, match="holds itself"):
        taken(endless)


def test_a_dict_as_key_with_several_nans_keeps_its_values() -> None:
    key = {float("nan"): 1, float("nan"): float("nan")}
    assert [str(value) for value in one_nan(key).values()] == ["1", "nan"]


def test_all_nans_of_keys_are_one_object() -> None:
    nan = float("nan")
    keys = [nan, Decimal("NaN"), (1, nan), (1, (nan,))]
    back = unpack_columns(pack_columns(keys, [0] * 4, grouped=False), grouped=False)[0]
    assert len({*back, *map(one_nan, keys)}) == 3
