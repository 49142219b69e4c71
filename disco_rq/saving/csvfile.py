"""Saved results as CSV: a header, then a record for each pair, as RFC 4180 has them.

The columns are ``key`` and ``value``. Where the values are dicts, there is a column for each of their names
in the place of ``value``.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from disco_rq.errors import CorruptData
from disco_rq.records import read_pairs
from disco_rq.saving.lines import as_text, refuse_other_bytes
from disco_rq.saving.refusal import refusal

__all__ = ["read_csv", "write_csv"]

_PLAIN = ("value",)
_FIELD_CHARS = 1 << 30


def write_csv(records: Path, out: BinaryIO) -> None:
    """A record for each pair. Raises ``RecordTypeError`` for what does not come back, as text at least."""
    writer, writer_of_escaped = csv.writer(_Encoded(out)), csv.writer(_Encoded(out, "surrogateescape"))
    names: tuple[str, ...] | None = None
    for key, value in read_pairs(records):
        if names is None:
            names = _names(key, value)
            writer_of_escaped.writerow(["key", *names])
        row = [as_text("csv", "key", key, key), *_fields(names, key, value)]
        try:
            writer.writerow(row)
        except UnicodeEncodeError:
            refuse_other_bytes("csv", "key", key, key)
            for field in row[1:]:
                refuse_other_bytes("csv", "value", field, key)
            writer_of_escaped.writerow(row)
    if names is None:
        writer.writerow(["key", *_PLAIN])


def _names(key: Any, value: Any) -> tuple[str, ...]:
    """The columns behind the key, by the first value."""
    if type(value) is not dict:
        return _PLAIN
    names = tuple(value)
    if any(type(name) is not str for name in names):
        raise refusal("csv", "value", value, key, " with keys that are not str")
    for name in ("key", ""):
        if name in names:
            raise refusal(
                "csv", "value", value, key, f" with the name {name!r}, which is no column of its own"
            )
    if names in (_PLAIN, ()):
        raise refusal("csv", "value", value, key, f" with the names {list(names)}, which would not come back")
    for name in names:
        refuse_other_bytes("csv", "value", name, key)
    return names


def _fields(names: tuple[str, ...], key: Any, value: Any) -> list[str]:
    if (type(value) is dict) != (names != _PLAIN):
        raise refusal("csv", "value", value, key, ", where the first one was another")
    if names == _PLAIN:
        return [as_text("csv", "value", value, key)]
    if value.keys() != set(names):
        raise refusal("csv", "value", value, key, " with other names than the first one")
    return [as_text("csv", f"value[{name!r}]", value[name], key) for name in names]


class _Encoded:
    """What a ``csv.writer`` writes to."""

    def __init__(self, out: BinaryIO, errors: str = "strict") -> None:
        self._out = out
        self._errors = errors

    def write(self, record: str) -> int:
        return self._out.write(record.encode("utf-8", self._errors))


def read_csv(file: BinaryIO, name: str) -> Iterator[tuple[str, Any]]:
    """The pairs, all as text. Raises ``CorruptData`` for what ``write_csv`` did not write, or not so much."""
    csv.field_size_limit(max(csv.field_size_limit(), _FIELD_CHARS))
    rows = csv.reader(_lines(file, name), strict=True)
    try:
        header = next(rows, [])
        if len(header) < 2 or header[0] != "key":
            raise CorruptData(
                f"{name} is no CSV of saved pairs: its columns are {header}, and not key, …", name
            )
        names = tuple(header[1:])
        for row in rows:
            if len(row) != len(header):
                raise CorruptData(f"line {rows.line_num} of {name} ends a record that is no saved pair", name)
            yield row[0], row[1] if names == _PLAIN else dict(zip(names, row[1:], strict=True))
    except csv.Error as error:
        raise CorruptData(
            f"line {rows.line_num} of {name} is no saved pair, or cut off: {error}", name
        ) from error


def _lines(file: BinaryIO, name: str) -> Iterator[str]:
    text = io.TextIOWrapper(file, "utf-8", "surrogateescape", newline="")
    try:
        last = "\n"
        for last in text:
            yield last
        if not last.endswith("\n"):
            raise CorruptData(f"{name} is cut off: its last line has no end", name)
    finally:
        text.detach()
