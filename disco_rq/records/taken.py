"""A value as it is now: what a job gives out counts as it was then, whatever is done to it later.

What cannot change is taken as it is. Lists, dicts and sets are copied, all the way down. Scalars of numpy
become the equal Python values. All else is left alone, for the record format to refuse by its type.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from copy import deepcopy
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from disco_rq.errors import RecordTypeError

__all__ = ["NAN", "PLAIN", "copied", "one_nan", "taken", "taken_deep"]

PLAIN = frozenset({type(None), bool, int, float, str, bytes, datetime, date, time, timedelta, Decimal, UUID})
"""Types that hold nothing which can change."""
NAN = float("nan")
"""The NaN of all keys: one object, so that dicts and tuples, which look at identity first, see one key."""


def taken(value: Any) -> Any:
    """``value``, safe from later changes. Raises ``RecordTypeError`` for what holds itself."""
    if type(value) in PLAIN:
        return value
    try:
        return _taken(value)
    except RecursionError:
        raise RecordTypeError("a key or value is nested too deeply for a record, or holds itself") from None


def _taken(value: Any) -> Any:
    take = _TAKE.get(type(value))
    return take(value) if take is not None else _plain_scalar(value)


def _taken_tuple(value: tuple[Any, ...]) -> tuple[Any, ...]:
    return value if PLAIN.issuperset(map(type, value)) else tuple(map(_taken, value))


def _taken_list(value: list[Any]) -> list[Any]:
    return value[:] if PLAIN.issuperset(map(type, value)) else list(map(_taken, value))


def _taken_set(value: set[Any]) -> set[Any]:
    return value.copy() if PLAIN.issuperset(map(type, value)) else set(map(_taken, value))


def _taken_frozenset(value: frozenset[Any]) -> frozenset[Any]:
    return value if PLAIN.issuperset(map(type, value)) else frozenset(map(_taken, value))


def _taken_dict(value: dict[Any, Any]) -> dict[Any, Any]:
    if PLAIN.issuperset(map(type, value)) and PLAIN.issuperset(map(type, value.values())):
        return value.copy()
    return {_taken(name): _taken(inner) for name, inner in value.items()}


def _itself(value: Any) -> Any:
    return value


_TAKE: dict[type, Callable[[Any], Any]] = {
    **dict.fromkeys(PLAIN, _itself),
    tuple: _taken_tuple,
    list: _taken_list,
    set: _taken_set,
    frozenset: _taken_frozenset,
    dict: _taken_dict,
}


_FLAT = (tuple, list, set)


def _plain_scalar(value: Any) -> Any:
    """The Python value that is equal to a scalar of numpy; anything else as it is."""
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(value, numpy.generic):
        return value
    if isinstance(value, str):
        return "".join((value,))
    if isinstance(value, bytes):
        return b"".join((value,))  # item() cuts zeros off
    if isinstance(value, numpy.datetime64 | numpy.timedelta64):
        return _plain_moment(numpy, value)
    if not isinstance(value, numpy.number | numpy.bool_):
        return value
    found: Any = float(value) if isinstance(value, numpy.longdouble) else value.item()
    return found if type(found) in PLAIN and bool(found == value or value != value) else value


def _plain_moment(numpy: Any, value: Any) -> Any:
    unit = numpy.datetime_data(value.dtype)[0]
    if unit in _FINER_UNITS:
        rounded = value.astype(f"{value.dtype.kind}8[us]")
        if rounded != value:
            return value
        value, found = rounded, rounded.item()
    else:
        found = value.item()  # an int where Python has no such moment
    return found if type(found) in (date, datetime, timedelta) else value


_FINER_UNITS = {"ns", "ps", "fs", "as"}
"""Than the microseconds of Python."""


def copied(value: Any) -> Any:
    """A copy of whatever it is, if it can be copied."""
    try:
        return deepcopy(value)
    except Exception:  # noqa: BLE001  whatever an object in it raises
        return value


def taken_deep(value: Any, copy: Callable[[Any], Any] = copied) -> Any:
    """``taken``, and what holds something that the record format does not as ``copy`` gives it."""
    kind = type(value)
    if kind in PLAIN:
        return value
    if kind in _FLAT and PLAIN.issuperset(map(type, value)):  # looked at once, most are no deeper
        return value if kind is tuple else value.copy()
    found = taken(value)
    return found if _is_held(found) else copy(found)


def _is_held(value: Any) -> bool:
    """Whether it has types of the record format alone, all the way down."""
    kind = type(value)
    if kind in PLAIN:
        return True
    if kind is dict:
        return all(map(_is_held, value)) and all(map(_is_held, value.values()))
    return kind in _TAKE and (PLAIN.issuperset(map(type, value)) or all(map(_is_held, value)))


def one_nan(key: Any) -> Any:
    """``key`` with every NaN in it, of whatever kind, the same object."""
    kind = type(key)
    if kind is float:
        return key if key == key else NAN
    if kind is Decimal:
        return NAN if key.is_nan() else key
    if kind is tuple or kind is frozenset or kind is list or kind is set:
        items = [one_nan(item) for item in key]
        return key if all(map(lambda new, old: new is old, items, key)) else kind(items)
    if kind is dict:
        names = [one_nan(name) for name in key]
        if len(set(names)) < len(names):  # several NaNs, which must not lose values
            names = list(key)
        return dict(zip(names, map(one_nan, key.values()), strict=True))
    return key
