"""The one type of a column of values, in Arrow.

A ``Shape`` sees all values of a column, and says then what they are. What Arrow has no type for travels as
the nearest: ints of more than 64 bits as decimals, sets as lists, tuples as lists, or as structs where all
have one length, dicts as structs, or as lists of pairs where their keys are no names. ``coding`` makes the
one of the other.
"""

from __future__ import annotations

import builtins
import importlib
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from types import NoneType
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

__all__ = ["Misfit", "Shape"]

MAX_NAMES = 1000
"""Different names of the dicts in a column."""
MAX_DEPTH = 20
_MAX_DIGITS = 76
"""Of the longest decimal that Arrow has; those of up to 38 are shorter ones."""
_SHORT_DIGITS = 38
_MICROSECOND = timedelta(microseconds=1)
_WORD = 1 << 63
_PLAIN = {
    bool: "bool_", float: "float64", str: "string", bytes: "binary", date: "date32",
}  # fmt: skip
_KINDS = {*_PLAIN, int, Decimal, datetime, time, timedelta, UUID, list, tuple, set, frozenset, dict}


class Misfit(Exception):
    """A value that its column cannot hold; ``detail`` comes behind its type."""

    def __init__(self, value: Any, detail: str) -> None:
        super().__init__(detail)
        self.value = value
        self.detail = detail


class Shape:
    """What is known of the values of a column, or of what lies in them."""

    def __init__(self, *, exact: bool = True, depth: int = 0) -> None:
        """``exact``: it shall come back as it went in; else near enough for who works on columns."""
        self._exact = exact
        self._depth = depth
        self._kind: type | None = None
        self._has_none = False
        self._digits = self._scale = 0  # of numbers: before and behind the point
        self._zones: set[Any] = set()
        self._item: Shape | None = None
        self._parts: list[Shape] | None = None  # of tuples that all have one length
        self._missing: set[str] = set()  # names that some dict has not
        self.fields: dict[str, Shape] = {}
        self._keys: Shape | None = None  # of dicts with keys that are no names
        self._count = 0

    # -- seeing

    def see(self, value: Any) -> None:
        """Take another value into account. Raises ``Misfit``, also for one deep within."""
        kind = type(value)
        if kind is NoneType:
            self._has_none = True
            return
        if kind is not self._kind:
            if self._kind is not None:
                raise Misfit(value, f" in one column with {self._kind.__qualname__}")
            if kind not in _KINDS or self._depth > MAX_DEPTH:
                raise Misfit(value, f" within {MAX_DEPTH} others" if kind in _KINDS else "")
            self._kind = kind
        if (look := _LOOKS.get(kind)) is not None:
            look(self, value)
        self._count += 1

    def _inner(self) -> Shape:
        return Shape(exact=self._exact, depth=self._depth + 1)

    def _see_int(self, value: int) -> None:
        if -_WORD <= value < _WORD:
            return
        if abs(value) >= 10**_MAX_DIGITS:
            raise Misfit(value, f" of more than {_MAX_DIGITS} digits")
        self._digits = max(self._digits, len(str(abs(value))))

    def _see_str(self, value: str) -> None:
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise Misfit(value, " that UTF-8 cannot hold (lone surrogates)") from None

    def _see_decimal(self, value: Decimal) -> None:
        _, digits, exponent = value.as_tuple()
        if not isinstance(exponent, int):
            raise Misfit(value, f", {value}")
        self._scale = max(self._scale, -exponent)
        self._digits = max(self._digits, len(digits) + exponent)
        if self._digits + self._scale > _MAX_DIGITS:
            raise Misfit(value, f" of more than {_MAX_DIGITS} digits, with those of its column")

    def _see_datetime(self, value: datetime) -> None:
        zone = value.tzinfo
        try:
            told = _told_zone(zone)
            if zone is not None:
                value.astimezone(UTC)
        except OverflowError:
            raise Misfit(value, " and a time zone, at an end of the calendar") from None
        if (told is None) != (None in (self._zones or {told})):
            raise Misfit(value, " with a time zone in one column with those that have none, or the reverse")
        self._zones.add(told)

    def _see_time(self, value: time) -> None:
        if value.tzinfo is not None:
            raise Misfit(value, " and a time zone")

    def _see_timedelta(self, value: timedelta) -> None:
        if not -_WORD <= value // _MICROSECOND < _WORD:
            raise Misfit(value, " of more than 292,000 years")

    def _see_items(self, value: Iterable[Any]) -> None:
        if self._item is None:
            self._item = self._inner()
        for item in value:
            self._item.see(item)

    def _see_tuple(self, value: tuple[Any, ...]) -> None:
        if self._parts is None and self._item is None:
            self._parts = [self._inner() for _ in value]
        if self._parts is not None and len(self._parts) != len(value):
            self._item = self._inner()
            for part in self._parts:
                self._item.join(part, value)
            self._parts = None
        if self._parts is None:
            self._see_items(value)
        else:
            for part, item in zip(self._parts, value, strict=True):
                part.see(item)

    def _see_dict(self, value: dict[Any, Any]) -> None:
        if value and (self._keys is not None or not self.fields):
            is_map = not all(type(name) is str for name in value)
            if self._keys is None and is_map:
                self._keys, self._item = self._inner(), self._inner()
        if self._keys is not None:
            for key in value:
                self._keys.see(key)
            self._see_items(value.values())
            return
        for name, item in value.items():
            if name not in self.fields:
                if type(name) is not str:
                    raise Misfit(name, " in one column with names of dicts, which are str")
                if len(self.fields) == MAX_NAMES:
                    raise Misfit(value, f": the dicts have more than {MAX_NAMES} different names")
                Shape(depth=self._depth).see(name)
                self.fields[name] = self._inner()
                if self._count:
                    self._missing.add(name)
            self.fields[name].see(item)
        if len(value) < len(self.fields):
            self._missing.update(self.fields.keys() - value.keys())
        if self._exact and self._missing:
            for name in self._missing:
                if self.fields[name]._has_none:
                    raise Misfit(value, f": some dicts have no {name!r}, and in others it is None")

    def join(self, other: Shape, value: Any) -> None:
        """Take all into account that another one has seen; ``value`` is where that comes from."""
        self._has_none |= other._has_none
        if other._kind is None:
            return
        if self._kind not in (None, other._kind):
            raise Misfit(value, " of different types, and with another length than those before")
        if other._kind in (dict, tuple) and self._kind is not None:
            raise Misfit(value, " with another length than those before")
        if self._kind is None:
            self._kind, self._parts, self._item = other._kind, other._parts, other._item
            self.fields, self._missing, self._keys = other.fields, other._missing, other._keys
        elif other._item is not None and self._item is not None:
            self._item.join(other._item, value)
        self._digits, self._scale = max(self._digits, other._digits), max(self._scale, other._scale)
        self._zones |= other._zones
        self._count += other._count

    # -- its type

    @property
    def is_record(self) -> bool:
        """Whether the values are dicts with names, or None."""
        return bool(self.fields)

    def told(self) -> list[Any]:
        """What ``coding`` and a file need to know of it: plain data for JSON."""
        match self._kind:
            case builtins.int if self._digits:
                return ["int"]
            case builtins.dict if self._keys is not None and self._item is not None:
                return ["map", self._keys.told(), self._item.told()]
            case builtins.dict:
                return [
                    "record",
                    {name: field.told() for name, field in self.fields.items()},
                    sorted(self._missing),
                ]
            case builtins.tuple if self._parts:
                return ["parts", [part.told() for part in self._parts]]
            case builtins.list | builtins.tuple | builtins.set | builtins.frozenset:
                return [self._kind.__name__, ["same"] if self._item is None else self._item.told()]
            case _ if self._kind is UUID and self._is_text_uuid:
                return ["uuid"]
            case _ if self._kind is datetime and self._zones != {None}:
                [zone, *others] = self._zones
                return ["datetime", ["fixed", 0, None] if others else list(zone)]
        return ["same"]

    def arrow_type(self) -> Any:
        """The ``pyarrow.DataType``."""
        arrow = importlib.import_module("pyarrow")
        if self._kind in _PLAIN:
            return getattr(arrow, _PLAIN[self._kind])()
        match self.told():
            case ["int"]:
                return _decimal(arrow, max(self._digits, 20), 0)
            case ["uuid"]:
                return arrow.string()
            case ["datetime", told]:
                return arrow.timestamp("us", _arrow_zone(told))
            case ["map", _, _]:
                assert self._keys is not None
                assert self._item is not None
                pair = [("key", self._keys.arrow_type()), ("value", self._item.arrow_type())]
                return arrow.list_(arrow.struct(pair))
            case ["record", dict() as fields, _] if fields:
                return arrow.struct([(name, field.arrow_type()) for name, field in self.fields.items()])
            case ["parts", _]:
                return arrow.struct(
                    [(f"_{i}", part.arrow_type()) for i, part in enumerate(self._parts or ())]
                )
        if self._kind in (dict, list, tuple, set, frozenset):
            return arrow.list_(arrow.null() if self._item is None else self._item.arrow_type())
        if self._kind is Decimal:
            return _decimal(arrow, max(self._digits, 0) + self._scale, self._scale)
        simple = {int: arrow.int64(), datetime: arrow.timestamp("us"), time: arrow.time64("us")}
        simple |= {timedelta: arrow.duration("us"), UUID: arrow.uuid()}
        return arrow.null() if self._kind is None else simple[self._kind]

    @property
    def _is_text_uuid(self) -> bool:
        """Within others pyarrow makes no UUIDs; and not every library knows them."""
        return self._depth > 0 or not self._exact


def _decimal(arrow: Any, digits: int, scale: int) -> Any:
    if digits <= _SHORT_DIGITS:
        return arrow.decimal128(_SHORT_DIGITS if scale == 0 else max(digits, 1), scale)
    return arrow.decimal256(_MAX_DIGITS if scale == 0 else digits, scale)


def _told_zone(zone: Any) -> tuple[Any, ...] | None:
    """A time zone as plain data, as records hold it."""
    if zone is None:
        return None
    if isinstance(zone, ZoneInfo):
        return ("zone", zone.key)
    offset, name = zone.utcoffset(None), zone.tzname(None)
    return ("fixed", offset // _MICROSECOND, None if timezone(offset).tzname(None) == name else name)


def _arrow_zone(told: list[Any]) -> str:
    """For who reads the file without us; an offset of seconds has no name there."""
    if told[0] == "zone":
        return str(told[1])
    minutes, rest = divmod(told[1], 60_000_000)
    if rest or not minutes:
        return "UTC"
    hours, minutes = divmod(abs(minutes), 60)
    return f"{'-' if told[1] < 0 else '+'}{hours:02d}:{minutes:02d}"


_LOOKS: dict[type, Callable[[Shape, Any], None]] = {
    int: Shape._see_int,
    str: Shape._see_str,
    Decimal: Shape._see_decimal,
    datetime: Shape._see_datetime,
    time: Shape._see_time,
    timedelta: Shape._see_timedelta,
    list: Shape._see_items,
    set: Shape._see_items,
    frozenset: Shape._see_items,
    tuple: Shape._see_tuple,
    dict: Shape._see_dict,
}
