"""Typed values as bytes: what goes in comes back, of the same type, or is refused. Columns at a time."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator, Set
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from itertools import chain
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import cloudpickle
import msgpack

from disco_rq.errors import DataError, RecordTypeError
from disco_rq.records.pairs import shown
from disco_rq.records.taken import PLAIN, one_nan

__all__ = ["Keys", "Values", "kinds_of", "pack_columns", "unpack_columns", "value_packer"]

Keys = list[Any]
Values = list[Any]

_TUPLE, _SET, _FROZENSET, _INT, _DATETIME, _DATE, _TIME, _TIMEDELTA, _DECIMAL, _UUID = range(1, 11)
_LEAVES = PLAIN
_SEQUENCES = {list, tuple, set, frozenset}
_TYPES = _LEAVES | _SEQUENCES | {dict}
_WITH_NAN = {float, Decimal}
_WITHOUT_NAN = _LEAVES - _WITH_NAN
_MICROSECOND = timedelta(microseconds=1)
_SMALL_BUFFER_BYTES = 512  # of a nested value; msgpack's own default is 1 MiB for each call

_TUPLE_KEYS, _TUPLE_VALUES, _NAN_KEYS = 1, 2, 4
_PICKLED = b"\xc1"
"""No msgpack begins with it."""
_MAX_DEPTH = 64
"""Tuples, sets and datetimes within each other: each is read by a call of its own, in 40 KB of C stack."""


def kinds_of(values: Iterable[Any], *, grouped: bool) -> Set[type]:
    """The types of a column of values (``grouped``: of lists of them)."""
    return set(map(type, chain.from_iterable(values) if grouped else values))


def pack_columns(
    keys: Keys, values: Values, *, grouped: bool, objects: bool = False, kinds: Set[type] | None = None
) -> bytes:
    """``keys`` and ``values`` (with ``grouped``: a list of values for each key) as bytes. ``kinds``: types
    among which those of the values are, if the caller knows them.

    Raises ``RecordTypeError`` naming the type and the key for anything that would not come back as it is.
    With ``objects`` it is pickled instead: for files that no other process reads.
    """
    try:
        return _pack_columns(keys, values, kinds or kinds_of(values, grouped=grouped), grouped=grouped)
    except RecordTypeError as error:
        if objects:
            return _PICKLED + bytes(cloudpickle.dumps((keys, values), pickle.HIGHEST_PROTOCOL))
        raise _with_key(error, keys, values, grouped=grouped) from None


def _pack_columns(keys: Keys, values: Values, value_kinds: Set[type], *, grouped: bool) -> bytes:
    flags = 0
    packed_keys, packed_values = keys, values
    key_kinds = set(map(type, keys))
    if key_kinds == {tuple}:
        flags |= _TUPLE_KEYS
        packed_keys = list(map(list, keys))
    if value_kinds == {tuple}:
        flags |= _TUPLE_VALUES
        packed_values = [list(map(list, group)) for group in values] if grouped else list(map(list, values))
    data = _packed([flags, packed_keys, packed_values])
    has_nan = not key_kinds <= _WITHOUT_NAN and _check(keys, look_for_nan=True)
    if not value_kinds <= _LEAVES:
        _check(chain.from_iterable(values) if grouped else values)
    return _packed([flags | _NAN_KEYS, packed_keys, packed_values]) if has_nan else data


def _packed(value: Any) -> bytes:
    try:
        try:
            return _PLAIN.packb(value)
        except UnicodeEncodeError:  # lone surrogates: rare, and slower to pack
            return _SURROGATES.packb(value)
    except RecordTypeError:
        raise
    except (ValueError, OverflowError, RecursionError) as error:
        raise RecordTypeError(
            f"a key or value is nested too deeply or too large for a record: {error}"
        ) from error


def _with_key(error: RecordTypeError, keys: Keys, values: Values, *, grouped: bool) -> RecordTypeError:
    """The refusal of a column, with the key of the pair that it is about."""
    for key, some in zip(keys, values, strict=True):
        try:
            _packed([key, some])
            _check([key, *some] if grouped else [key, some])
        except RecordTypeError as own:
            return RecordTypeError(f"{own} (the key is {shown(key)})")
    return error


def unpack_columns(data: bytes, *, grouped: bool, objects: bool = False) -> tuple[Keys, Values]:
    """What ``pack_columns`` packed. Raises ``ValueError`` for anything else.

    ``objects`` unpickles: only what this process packed itself.
    """
    if objects and data.startswith(_PICKLED):
        keys, values = pickle.loads(memoryview(data)[len(_PICKLED) :])
        return list(map(one_nan, keys)), values
    flags, keys, values = msgpack.unpackb(
        data, ext_hook=_unpack_ext, strict_map_key=False, unicode_errors="surrogatepass"
    )
    if flags & _TUPLE_KEYS:
        keys = list(map(tuple, keys))
    if flags & _TUPLE_VALUES:
        values = [list(map(tuple, group)) for group in values] if grouped else list(map(tuple, values))
    if flags & _NAN_KEYS:
        keys = list(map(one_nan, keys))
    return keys, values


def value_packer(*, surrogates: bool = False) -> Callable[[Any], bytes]:
    """Packs one value after the other, as ``pack_columns`` does it in a column. Raises
    ``UnicodeEncodeError`` for a lone surrogate, but for ``surrogates``.
    """
    packing = _SURROGATES if surrogates else _PLAIN
    pack: Callable[[Any], bytes] = packing.packer(buf_size=_SMALL_BUFFER_BYTES).pack
    return pack


class _Packing:
    """One way to pack: strings with or without lone surrogates."""

    def __init__(self, unicode_errors: str | None) -> None:
        self._unicode_errors = unicode_errors
        self._depth = 0

    def packb(self, value: Any, **options: Any) -> bytes:
        packed: bytes = self.packer(**options).pack(value)
        return packed

    def packer(self, **options: Any) -> msgpack.Packer:
        return msgpack.Packer(
            strict_types=True, default=self._ext, unicode_errors=self._unicode_errors, **options
        )

    def _nested(self, code: int, value: list[Any]) -> msgpack.ExtType:
        self._depth += 1
        try:
            if self._depth > _MAX_DEPTH:
                raise ValueError(f"at most {_MAX_DEPTH} tuples and sets may be within each other")
            return msgpack.ExtType(code, self.packb(value, buf_size=_SMALL_BUFFER_BYTES))
        finally:
            self._depth -= 1

    def _ext(self, value: Any) -> msgpack.ExtType:
        kind = type(value)
        if kind is tuple:
            return self._nested(_TUPLE, list(value))
        if kind is set:
            return self._nested(_SET, list(value))
        if kind is frozenset:
            return self._nested(_FROZENSET, list(value))
        if kind is int:
            return msgpack.ExtType(_INT, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))
        if kind is datetime:
            return self._nested(_DATETIME, [*_date_fields(value), *_time_fields(value)])
        if kind is time:
            return self._nested(_TIME, _time_fields(value))
        pack = _PACK.get(kind)
        if pack is not None:
            return msgpack.ExtType(*pack(value))
        raise _refusal(kind)


_PACK: dict[type, Callable[[Any], tuple[int, bytes]]] = {
    date: lambda value: (_DATE, value.toordinal().to_bytes(4, "big")),
    timedelta: lambda value: (_TIMEDELTA, (value // _MICROSECOND).to_bytes(9, "big", signed=True)),
    Decimal: lambda value: (_DECIMAL, str(value).encode()),
    UUID: lambda value: (_UUID, value.bytes),
}

_PLAIN = _Packing(None)
_SURROGATES = _Packing("surrogatepass")


def _refusal(kind: type) -> RecordTypeError:
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    is_read_once = issubclass(kind, Iterator)
    has = f"is {kind.named}" if hasattr(kind, "named") and is_read_once else f"has the type {name}"
    convert = "convert it, or use disco_rq.func.object_writer and object_reader, which pickle"
    return RecordTypeError(
        f"a key or value {has}, which records do not hold (they hold None, bool, int, float, "
        "str, bytes, list, tuple, dict, set, frozenset, datetime, date, time, timedelta, Decimal, UUID); "
        + ("it can be read only once: give out list(values)" if is_read_once else convert)
    )


def _check(column: Iterable[Any], *, look_for_nan: bool = False) -> bool:
    """Refuse what msgpack packs without asking, but as another type: bytearray, memoryview, its own types.

    Returns whether there is a NaN in it, if that is asked.
    """
    has_nan = False
    level: list[Any] = list(column)
    while level:
        kinds = set(map(type, level))
        if not kinds <= _TYPES:
            raise _refusal(next(iter(kinds - _TYPES)))
        if look_for_nan and not has_nan and kinds & _WITH_NAN:
            numbers = [value for value in level if type(value) in _WITH_NAN]
            has_nan = any(value.is_nan() if type(value) is Decimal else value != value for value in numbers)
        if kinds <= _LEAVES:
            break
        inner = list(chain.from_iterable(value for value in level if type(value) in _SEQUENCES))
        for value in level if dict in kinds else ():
            if type(value) is dict:
                inner += value.keys()
                inner += value.values()
        level = inner
    return has_nan


def _unpack_nested(data: bytes) -> list[Any]:
    values: list[Any] = msgpack.unpackb(
        data, ext_hook=_unpack_ext, strict_map_key=False, unicode_errors="surrogatepass"
    )
    return values


_UNPACK: dict[int, Callable[[bytes], Any]] = {
    _TUPLE: lambda data: tuple(_unpack_nested(data)),
    _SET: lambda data: set(_unpack_nested(data)),
    _FROZENSET: lambda data: frozenset(_unpack_nested(data)),
    _INT: lambda data: int.from_bytes(data, "big", signed=True),
    _DATETIME: lambda data: _datetime_from(_unpack_nested(data)),
    _TIME: lambda data: _time_from(_unpack_nested(data)),
    _DATE: lambda data: date.fromordinal(int.from_bytes(data, "big")),
    _TIMEDELTA: lambda data: int.from_bytes(data, "big", signed=True) * _MICROSECOND,
    _DECIMAL: lambda data: Decimal(data.decode()),
    _UUID: lambda data: UUID(bytes=data),
}


def _unpack_ext(code: int, data: bytes) -> Any:
    return _UNPACK[code](data)


def _date_fields(value: date) -> list[Any]:
    return [value.year, value.month, value.day]


def _time_fields(value: datetime | time) -> list[Any]:
    zone = value.tzinfo
    packed: Any
    if zone is None:
        packed = None
    elif type(zone) is timezone:
        offset, name = zone.utcoffset(None), zone.tzname(None)
        packed = [offset // _MICROSECOND, None if timezone(offset).tzname(None) == name else name]
    elif type(zone) is ZoneInfo and zone.key is not None:
        packed = zone.key
    else:
        raise _refusal(type(zone))
    return [value.hour, value.minute, value.second, value.microsecond, value.fold, packed]


def _datetime_from(fields: list[Any]) -> datetime:
    return datetime.combine(date(*fields[:3]), _time_from(fields[3:]))


def _time_from(fields: list[Any]) -> time:
    hour, minute, second, microsecond, fold, packed = fields
    return time(hour, minute, second, microsecond, tzinfo=_zone_from(packed), fold=fold)


def _zone_from(packed: Any) -> timezone | ZoneInfo | None:
    if packed is None:
        return None
    if isinstance(packed, str):
        try:
            return ZoneInfo(packed)
        except ZoneInfoNotFoundError as error:
            raise DataError(f"this host does not know the time zone {packed!r} of a record") from error
    microseconds, name = packed
    offset = timedelta(microseconds=microseconds)
    return timezone(offset) if name is None else timezone(offset, name)
