"""Typed values as bytes: what goes in comes back, of the same type, or is refused. Columns at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta, timezone
from itertools import chain
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgpack

from disco_rq.errors import DataError, RecordTypeError

__all__ = ["Keys", "Values", "pack_columns", "unpack_columns"]

Keys = list[Any]
Values = list[Any]

_TUPLE, _SET, _FROZENSET, _INT, _DATETIME = range(1, 6)
_LEAVES = {type(None), bool, int, float, str, bytes, datetime}
_SEQUENCES = {list, tuple, set, frozenset}
_TYPES = _LEAVES | _SEQUENCES | {dict}
_MICROSECOND = timedelta(microseconds=1)
_SMALL_BUFFER_BYTES = 512  # of a nested value; msgpack's own default is 1 MiB for each call

_TUPLE_KEYS, _TUPLE_VALUES = 1, 2
_MAX_DEPTH = 64
"""Tuples, sets and datetimes within each other: each is read by a call of its own, in 40 KB of C stack."""


def pack_columns(keys: Keys, values: Values, *, grouped: bool) -> bytes:
    """``keys`` and ``values`` (with ``grouped``: a list of values for each key) as bytes.

    Raises ``RecordTypeError`` naming the type for anything that would not come back as it is.
    """
    flags = 0
    packed_keys, packed_values = keys, values
    if set(map(type, keys)) == {tuple}:
        flags |= _TUPLE_KEYS
        packed_keys = list(map(list, keys))
    if set(map(type, chain.from_iterable(values) if grouped else values)) == {tuple}:
        flags |= _TUPLE_VALUES
        packed_values = [list(map(list, group)) for group in values] if grouped else list(map(list, values))
    columns = [flags, packed_keys, packed_values]
    try:
        try:
            data = _PLAIN.packb(columns)
        except UnicodeEncodeError:  # lone surrogates: rare, and slower to pack
            data = _SURROGATES.packb(columns)
    except RecordTypeError:
        raise
    except (ValueError, OverflowError, RecursionError) as error:
        raise RecordTypeError(
            f"a key or value is nested too deeply or too large for a record: {error}"
        ) from error
    _check(keys)
    _check(chain.from_iterable(values) if grouped else values)
    return data


def unpack_columns(data: bytes, *, grouped: bool) -> tuple[Keys, Values]:
    """What ``pack_columns`` packed. Raises ``ValueError`` for anything else."""
    flags, keys, values = msgpack.unpackb(
        data, ext_hook=_unpack_ext, strict_map_key=False, unicode_errors="surrogatepass"
    )
    if flags & _TUPLE_KEYS:
        keys = list(map(tuple, keys))
    if flags & _TUPLE_VALUES:
        values = [list(map(tuple, group)) for group in values] if grouped else list(map(tuple, values))
    return keys, values


class _Packing:
    """One way to pack: strings with or without lone surrogates."""

    def __init__(self, unicode_errors: str | None) -> None:
        self._unicode_errors = unicode_errors
        self._depth = 0

    def packb(self, value: Any, **options: Any) -> bytes:
        packer = msgpack.Packer(
            strict_types=True, default=self._ext, unicode_errors=self._unicode_errors, **options
        )
        packed: bytes = packer.pack(value)
        return packed

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
            return self._nested(_DATETIME, _datetime_fields(value))
        raise _refusal(kind)


_PLAIN = _Packing(None)
_SURROGATES = _Packing("surrogatepass")


def _refusal(kind: type) -> RecordTypeError:
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return RecordTypeError(
        f"a key or value has the type {name}, which records do not hold (they hold None, bool, int, float, "
        "str, bytes, list, tuple, dict, set, frozenset, datetime); convert it, or use "
        "disco_rq.func.object_writer and object_reader, which pickle"
    )


def _check(column: Iterable[Any]) -> None:
    """Refuse what msgpack packs without asking, but as another type: bytearray, memoryview, its own types."""
    level: list[Any] = list(column)
    while level:
        kinds = set(map(type, level))
        if not kinds <= _TYPES:
            raise _refusal(next(iter(kinds - _TYPES)))
        if kinds <= _LEAVES:
            return
        inner = list(chain.from_iterable(value for value in level if type(value) in _SEQUENCES))
        for value in level if dict in kinds else ():
            if type(value) is dict:
                inner += value.keys()
                inner += value.values()
        level = inner


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
}


def _unpack_ext(code: int, data: bytes) -> Any:
    return _UNPACK[code](data)


def _datetime_fields(value: datetime) -> list[Any]:
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
    return [
        *(value.year, value.month, value.day, value.hour, value.minute, value.second),
        *(value.microsecond, value.fold, packed),
    ]


def _datetime_from(fields: list[Any]) -> datetime:
    *moment, fold, packed = fields
    zone: timezone | ZoneInfo | None
    if packed is None:
        zone = None
    elif isinstance(packed, str):
        try:
            zone = ZoneInfo(packed)
        except ZoneInfoNotFoundError as error:
            raise DataError(f"this host does not know the time zone {packed!r} of a record") from error
    else:
        microseconds, name = packed
        offset = timedelta(microseconds=microseconds)
        zone = timezone(offset) if name is None else timezone(offset, name)
    year, month, day, hour, minute, second, microsecond = moment
    return datetime(year, month, day, hour, minute, second, microsecond, tzinfo=zone, fold=fold)
