"""The formats of saved results: from a task's record file to a file for others, and back to pairs.

What a format would not give back as it went in is a ``RecordTypeError`` that names the type and the format;
``text`` alone gives everything back as text.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from disco_rq.errors import CorruptData, RecordTypeError
from disco_rq.records import read_pairs, read_with
from disco_rq.saving.parquet import read_parquet, write_parquet

__all__ = ["FORMATS", "Format", "format_of"]

_BUFFER_BYTES = 256 << 10
_SCALARS = {type(None), bool, int, float, str}
_TEXT = {str, int, float}


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
    with open(to, "wb", _BUFFER_BYTES) as out:
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
    with open(to, "wb", _BUFFER_BYTES) as out:
        for key, value in read_pairs(records):
            _check_json(key, "key")
            _check_json(value, "value")
            pair = {"key": key, "value": value}
            try:
                line = json.dumps(pair, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
            except (ValueError, RecursionError) as error:  # nan, too many digits, too deep
                raise RecordTypeError(f"jsonl does not hold a key or value: {error}") from error
            try:
                data = line.encode()
            except UnicodeEncodeError:  # lone surrogates
                data = json.dumps(pair, separators=(",", ":")).encode()
            out.write(data + b"\n")
    return to


def _check_json(value: Any, what: str) -> None:
    """Refuse what JSON would give back as another type."""
    level = [value]
    while level:
        inner: list[Any] = []
        for item in level:
            kind = type(item)
            if kind is list:
                inner += item
            elif kind is dict:
                if any(type(name) is not str for name in item):
                    raise _refusal("jsonl", what, item, " with keys that are not str")
                inner += item.values()
            elif kind not in _SCALARS:
                raise _refusal("jsonl", what, item)
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
    with open(to, "w", _BUFFER_BYTES, encoding="utf-8", errors="surrogateescape", newline="") as out:
        for key, value in read_pairs(records):
            for what, item in (("key", key), ("value", value)):
                if type(item) not in _TEXT:
                    raise _refusal("text", what, item)
            line = f"{key}\t{value}\n"
            if line.count("\n") > 1 or (type(key) is str and "\t" in key):
                raise RecordTypeError(
                    "text does not hold a str with a newline, nor a key with a tab: "
                    f"{line[:100]!r}; another save_format does"
                )
            out.write(line)
    return to


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


def _refusal(format: str, what: str, value: Any, detail: str = "") -> RecordTypeError:
    return RecordTypeError(
        f"{format} does not hold a {what} with the type {type(value).__qualname__}{detail}: "
        f"convert it, or save as msgpack, which holds all that records hold"
    )


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
