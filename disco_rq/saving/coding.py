"""From values to what pyarrow takes for them, and back, by what a ``Shape`` has told of their column."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

__all__ = ["decoded", "encoded"]

Code = Callable[[Any], Any] | None
"""What makes one value of another; None: it stays as it is. None is never asked for."""

_LISTS: dict[str, Callable[[Iterable[Any]], Any]] = {
    "list": list,
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
}


def encoded(column: list[Any], told: list[Any]) -> list[Any]:
    """The column, as pyarrow takes it."""
    return _all(_encoder(told), column)


def decoded(column: list[Any], told: list[Any]) -> list[Any]:
    """What ``encoded`` was given."""
    return _all(_decoder(told), column)


def _all(code: Code, column: Iterable[Any]) -> list[Any]:
    if code is None:
        return list(column)
    return [None if value is None else code(value) for value in column]


def _or_none(code: Code) -> Callable[[Any], Any]:
    if code is None:
        return lambda value: value
    return lambda value: None if value is None else code(value)


def _encoder(told: list[Any]) -> Code:
    match told:
        case ["int"]:
            return Decimal
        case ["uuid"]:
            return str
        case ["map", keys, values]:
            key, item = _or_none(_encoder(keys)), _or_none(_encoder(values))
            return lambda value: [{"key": key(k), "value": item(v)} for k, v in value.items()]
        case ["record", fields, _]:
            return _with_fields({name: _or_none(_encoder(field)) for name, field in fields.items()})
        case ["parts", parts]:
            codes = [(f"_{i}", _or_none(_encoder(part))) for i, part in enumerate(parts)]
            return lambda value: {name: code(v) for (name, code), v in zip(codes, value, strict=True)}
        case [str() as kind, inner] if kind in _LISTS:
            code = _encoder(inner)
            return None if kind == "list" and code is None else lambda value: _all(code, value)
    return None


def _with_fields(fields: dict[str, Callable[[Any], Any]]) -> Code:
    if not fields:
        return list  # all are empty: Parquet has no structs without fields
    return lambda value: {name: fields[name](v) for name, v in value.items()}


def _decoder(told: list[Any]) -> Code:
    match told:
        case ["int"]:
            return int
        case ["uuid"]:
            return UUID
        case ["datetime", zone]:
            there = _zone(zone)
            return lambda value: value.astimezone(there)
        case ["map", keys, values]:
            key, item = _or_none(_decoder(keys)), _or_none(_decoder(values))
            return lambda value: {key(pair["key"]): item(pair["value"]) for pair in value}
        case ["record", fields, missing]:
            return _without(missing, {name: _or_none(_decoder(field)) for name, field in fields.items()})
        case ["parts", parts]:
            codes = [(f"_{i}", _or_none(_decoder(part))) for i, part in enumerate(parts)]
            return lambda value: tuple(code(value[name]) for name, code in codes)
        case [str() as kind, inner] if kind in _LISTS:
            code, make = _decoder(inner), _LISTS[kind]
            return None if kind == "list" and code is None else lambda value: make(_all(code, value))
    return None


def _without(missing: Iterable[str], fields: dict[str, Callable[[Any], Any]]) -> Code:
    """Of dicts that do not have every name: those in ``missing`` are None only where they are not there."""
    left_out = frozenset(missing)
    if not fields:
        return dict
    return lambda value: {
        name: fields[name](v) for name, v in value.items() if v is not None or name not in left_out
    }


def _zone(told: list[Any]) -> timezone | ZoneInfo:
    if told[0] == "zone":
        return ZoneInfo(told[1])
    offset = timedelta(microseconds=told[1])
    return timezone(offset) if told[2] is None else timezone(offset, told[2])
