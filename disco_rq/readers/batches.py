"""CSV and JSON lines as record batches of pyarrow, for code on columns. The entries are those of the readers
by rows, some thousand at a time.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from disco_rq.errors import WrongContent
from disco_rq.readers.csvfiles import CsvReader, CsvRecords
from disco_rq.readers.jsonlines import json_lines
from disco_rq.redact import redact

__all__ = ["CsvBatches", "JsonlBatches"]

_ROWS = 10_000
_CHARS = 16 << 20
"""A batch of so much text has fewer rows."""


@dataclass(frozen=True, slots=True)
class CsvBatches:
    """``func.csv_batches``: every column is text, whatever a piece holds of it."""

    rows: CsvReader

    needs = ("pyarrow",)
    is_whole = False
    reads_through = True

    @property
    def line_based(self) -> bool:
        """Whether each line is a record."""
        return self.rows.line_based

    def borders(self, file: BinaryIO, size: int, piece_size: int) -> list[int]:
        """Where records begin."""
        return self.rows.borders(file, size, piece_size)

    def __call__(self, fd: BinaryIO, size: int | None, fname: str) -> Iterator[Any]:  # noqa: ARG002
        arrow = importlib.import_module("pyarrow")
        records = CsvRecords(self.rows, fd, fname)
        names = records.names()
        if names is None:
            return
        rows = records.of_width(len(names))
        for some in _batched((sum(map(len, row)), row) for row in rows):
            try:
                columns = [arrow.array(column, arrow.string()) for column in zip(*some, strict=True)]
            except UnicodeEncodeError:  # bytes that are no text came as lone surrogates
                raise WrongContent(
                    f"{redact(fname)} holds bytes that are no {self.rows.encoding} text, and a column of "
                    "pyarrow takes none"
                ) from None
            yield arrow.RecordBatch.from_arrays(columns, names=list(names))


@dataclass(frozen=True, slots=True)
class JsonlBatches:
    """``func.jsonl_batches``: a column for each key that a line of the batch has."""

    needs = ("pyarrow",)
    line_based = True

    def __call__(self, fd: BinaryIO, size: int | None, fname: str) -> Iterator[Any]:  # noqa: ARG002
        arrow = importlib.import_module("pyarrow")
        for some in _batched(_weighed(fd, fname)):
            other = next((value for value in some if not isinstance(value, dict)), None)
            if other is not None:
                raise WrongContent(
                    f"{redact(fname)} holds a {type(other).__name__} in a line: batches take objects"
                )
            names = list(dict.fromkeys(name for row in some for name in row))
            if not names:  # arrays tell how many rows there are, and here is none
                yield arrow.RecordBatch.from_struct_array(arrow.array(some, arrow.struct([])))
                continue
            columns = [self._column(arrow, name, [row.get(name) for row in some], fname) for name in names]
            yield arrow.RecordBatch.from_arrays(columns, names=names)

    def _column(self, arrow: Any, name: str, values: list[Any], fname: str) -> Any:
        try:
            return arrow.array(values)
        except (arrow.ArrowException, OverflowError, UnicodeError) as error:
            raise WrongContent(
                f"{redact(fname)}: the values of {name!r} are of no one type: {error}; "
                "func.jsonl_reader() reads them"
            ) from None


def _weighed(fd: BinaryIO, fname: str) -> Iterator[tuple[int, Any]]:
    """Each value; with the first one of some lines how many bytes these have."""
    for size, values in json_lines(fd, fname):
        for value in values:
            yield size, value
            size = 0


def _batched(weighed: Iterable[tuple[int, Any]]) -> Iterator[list[Any]]:
    """The rows, so many at a time as are not too much, and one at least."""
    some: list[Any] = []
    weight = 0
    for size, row in weighed:
        if len(some) == _ROWS or (some and weight + size > _CHARS):
            yield some
            some, weight = [], 0
        some.append(row)
        weight += size
    if some:
        yield some
