"""The formats of saved results: from a task's record file to a file for others, and back to pairs.

What a format would not give back as it went in is a ``RecordTypeError`` that names the format, type and
key; ``text`` alone gives everything back as text.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, BinaryIO

from disco_rq.errors import CorruptData, RecordTypeError
from disco_rq.records import read_pairs, read_with
from disco_rq.records.spool import private
from disco_rq.saving.parquet import read_parquet, write_parquet
from disco_rq.saving.refusal import refusal

__all__ = ["FORMATS", "Format", "format_of"]

_BUFFER_BYTES = 256 << 10
_SCALARS = {type(None), bool, int, float, str}
_TEXT = {str, int, float}
_DIGITS = sys.int_info.default_max_str_digits
_TOO_LONG = 10**_DIGITS
"""Python itself, and other readers of JSON, refuse ints of more digits."""


@dataclass(frozen=True, slots=True)
class Format:
    """How pairs are written to a file, and read from one."""

    name: str
    extension: str
    write: Callable[[Path, Path], Path]  # (record file, a file to make) -> the one of them to save
    read: Callable[[BinaryIO, str], Iterator[Any]]  # (file, its address) -> pairs


def format_of(address: str) -> Format | None:
    """The format that the address' extension tells."""
    return _BY_EXTENSION.get(os.path.splitext(address)[1])  # noqa: PTH122  any text is an address


# -- msgpack: our own blocks, as they are


def _same(records: Path, _to: Path) -> Path:
    return records


# -- raw: the bytes of a writer of the job's own


def _write_raw(records: Path, to: Path) -> Path:
    with open(to, "wb", _BUFFER_BYTES, opener=private) as out:
        for chunk in read_with(lambda fd, _size, _name: iter(lambda: fd.read(_BUFFER_BYTES), b""), records):
            out.write(chunk)
    return to


def _read_raw(_file: BinaryIO, name: str) -> Iterator[Any]:
    raise CorruptData(
        f"{name} holds what a writer of the job's own wrote: it takes a reader to read it", name
    )
    yield  # a generator, as the others


# -- jsonl


def _write_jsonl(records: Path, to: Path) -> Path:
    with open(to, "wb", _BUFFER_BYTES, opener=private) as out:
        for key, value in read_pairs(records):
            _check_json(key, "key", key)
            _check_json(value, "value", key)
            pair = {"key": key, "value": value}
            try:
                line = json.dumps(pair, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
            except RecursionError as error:
                raise refusal("jsonl", "value", value, key, " so deeply nested") from error
            try:
                data = line.encode()
            except UnicodeEncodeError:  # lone surrogates
                data = json.dumps(pair, separators=(",", ":")).encode()
            out.write(data + b"\n")
    return to


def _check_json(value: Any, what: str, key: Any) -> None:
    """Refuse what JSON would give back as another type, or its readers refuse."""
    level = [value]
    while level:
        inner: list[Any] = []
        for item in level:
            kind = type(item)
            if kind is list:
                inner += item
            elif kind is dict:
                if any(type(name) is not str for name in item):
                    raise refusal("jsonl", what, item, key, " with keys that are not str")
                inner += item.values()
            elif kind not in _SCALARS:
                raise refusal("jsonl", what, item, key)
            elif kind is float and not isfinite(item):
                raise refusal("jsonl", what, item, key, f", {item}")
            elif kind is int and abs(item) >= _TOO_LONG:
                raise refusal("jsonl", what, item, key, f" of more than {_DIGITS} digits")
        level = inner


def _read_jsonl(file: BinaryIO, name: str) -> Iterator[Any]:
    for number, line in enumerate(file, 1):
        try:
            pair = json.loads(line)
            yield pair["key"], pair["value"]
        except (ValueError, KeyError, TypeError) as error:
            raise CorruptData(f"line {number} of {name} is no saved pair: {error}", name) from error


# -- text


def _write_text(records: Path, to: Path) -> Path:
    with open(
        to, "w", _BUFFER_BYTES, encoding="utf-8", errors="surrogateescape", newline="", opener=private
    ) as out:
        for key, value in read_pairs(records):
            for what, item in (("key", key), ("value", value)):
                if type(item) not in _TEXT:
                    raise refusal("text", what, item, key)
            try:
                line = f"{key}\t{value}\n"
            except ValueError:  # more digits than Python writes unless it is told to
                line = f"{_all_digits(key)}\t{_all_digits(value)}\n"
            if line.count("\n") > 1 or (type(key) is str and "\t" in key):
                raise RecordTypeError(
                    "text does not hold a str with a newline, nor a key with a tab: "
                    f"{line[:100]!r}; another save_format does"
                )
            try:
                out.write(line)
            except UnicodeEncodeError as error:
                what, item = ("key", key) if _is_half(key) else ("value", value)
                raise refusal("text", what, item, key, " with half of a surrogate pair") from error
    return to


def _all_digits(item: Any) -> str:
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        return str(item)
    finally:
        sys.set_int_max_str_digits(limit)


def _is_half(item: Any) -> bool:
    """Whether it is a text that is neither Unicode nor bytes that were no UTF-8."""
    try:
        str(item).encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return True
    except ValueError:  # an int of many digits
        return False
    return False


def _read_text(file: BinaryIO, name: str) -> Iterator[Any]:
    for number, line in enumerate(file, 1):
        key, tab, value = line.decode("utf-8", "surrogateescape").partition("\t")
        if not tab or not value.endswith("\n"):
            raise CorruptData(f"line {number} of {name} is no saved pair, or cut off", name)
        yield key, value[:-1]


# -- parquet


def _write_parquet(records: Path, to: Path) -> Path:
    write_parquet(lambda: read_pairs(records), to)
    return to


FORMATS = {
    format.name: format
    for format in (
        Format("msgpack", ".disco", _same, read_pairs),
        Format("jsonl", ".jsonl", _write_jsonl, _read_jsonl),
        Format("text", ".txt", _write_text, _read_text),
        Format("parquet", ".parquet", _write_parquet, read_parquet),
        Format("raw", ".bin", _write_raw, _read_raw),
    )
}
"""By name. ``raw`` is for jobs whose results have a writer of their own."""

_BY_EXTENSION = {format.extension: format for format in FORMATS.values()}
