"""Parquet, by row groups: rows as dicts, or record batches of pyarrow."""

from __future__ import annotations

import importlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

from disco_rq.errors import TaskError, WrongContent
from disco_rq.redact import redact
from disco_rq.runtime import is_read_now

__all__ = ["ParquetBatches", "ParquetReader", "python_values"]

_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class ParquetBatches:
    """``func.parquet_batches``: a ``pyarrow.RecordBatch`` for some thousand rows."""

    columns: tuple[str, ...] | None

    needs = ("pyarrow",)
    reads_through = False
    is_whole = True

    def borders(self, file: BinaryIO, size: int, piece_size: int) -> list[int]:
        """Where row groups begin."""
        parquet = importlib.import_module("pyarrow.parquet")
        starts = sorted(_group_starts(parquet.ParquetFile(file).metadata))
        borders: list[int] = []
        for start in starts[1:]:
            if start - (borders[-1] if borders else 0) >= min(piece_size, size):
                borders.append(start)
        return borders

    def __call__(self, fd: BinaryIO, size: int | None, fname: str) -> Iterator[Any]:  # noqa: ARG002
        arrow = importlib.import_module("pyarrow")
        parquet = importlib.import_module("pyarrow.parquet")
        name = redact(fname)
        with _seekable(fd) as file:
            try:
                source = parquet.ParquetFile(file, buffer_size=1 << 20)
                columns = self._columns(source.schema_arrow.names, name)
                groups = _own_groups(source.metadata)
                yield from source.iter_batches(_ROWS, row_groups=groups, columns=columns)
            except (arrow.ArrowException, OSError) as error:  # what reading the file raises is a DataError
                raise WrongContent(f"{name} is no Parquet file, or it is damaged: {error}") from None

    def _columns(self, there: list[str], name: str) -> list[str] | None:
        if self.columns is None:
            twice = sorted({column for column in there if there.count(column) > 1})
            if twice:
                raise WrongContent(f"{name} has two columns with the name {twice[0]!r}")
            return None
        missing = [column for column in self.columns if column not in there]
        if missing:
            raise WrongContent(f"{name} has no column {missing[0]!r}; it has {', '.join(map(repr, there))}")
        return list(self.columns)


@dataclass(frozen=True, slots=True)
class ParquetReader:
    """``func.parquet_reader``: a dict a row."""

    columns: tuple[str, ...] | None

    needs = ("pyarrow",)
    reads_through = False
    is_whole = True

    def borders(self, file: BinaryIO, size: int, piece_size: int) -> list[int]:
        """Where row groups begin."""
        return ParquetBatches(self.columns).borders(file, size, piece_size)

    def __call__(self, fd: BinaryIO, size: int | None, fname: str) -> Iterator[dict[str, Any]]:
        for batch in ParquetBatches(self.columns)(fd, size, fname):
            names = batch.schema.names
            columns = [
                python_values(column, f"{redact(fname)}, column {name!r}")
                for name, column in zip(names, batch.columns, strict=True)
            ]
            for row in zip(*columns, strict=True) if columns else [()] * batch.num_rows:
                yield dict(zip(names, row, strict=True))


def python_values(column: Any, name: str) -> list[Any]:
    """Those of Python. ``TaskError`` for nanoseconds, which Python's moments do not hold: ``to_pylist`` drops
    some, and makes objects of pandas of others, where that is installed.
    """
    arrow = importlib.import_module("pyarrow")
    kind = _of_microseconds(arrow, column.type)
    try:
        found: list[Any] = (column if kind == column.type else column.cast(kind)).to_pylist()
    except (arrow.ArrowException, ValueError) as error:
        raise TaskError(f"{name}: {error}") from error
    return found


def _of_microseconds(arrow: Any, kind: Any) -> Any:
    """The type of the same values where Python has moments for them."""

    def of_field(field: Any) -> Any:
        return field.with_type(_of_microseconds(arrow, field.type))

    types = arrow.types
    if getattr(kind, "unit", "") == "ns":
        if types.is_timestamp(kind):
            return arrow.timestamp("us", kind.tz)
        return arrow.duration("us") if types.is_duration(kind) else arrow.time64("us")
    if types.is_struct(kind):
        return arrow.struct([of_field(field) for field in kind])
    if types.is_list(kind):
        return arrow.list_(of_field(kind.value_field))
    if types.is_large_list(kind):
        return arrow.large_list(of_field(kind.value_field))
    if types.is_map(kind):
        return arrow.map_(of_field(kind.key_field), of_field(kind.item_field))
    return kind


def _group_starts(metadata: Any) -> list[int]:
    """The first byte of each row group."""
    starts = []
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        chunks = [group.column(i) for i in range(group.num_columns)]
        pages = [p for c in chunks for p in (c.dictionary_page_offset, c.data_page_offset) if p]
        starts.append(min(pages, default=0))
    return starts


def _own_groups(metadata: Any) -> list[int]:
    """The row groups that begin in the piece that is read now."""
    reading = is_read_now()
    starts = _group_starts(metadata)
    stop = None if reading.length is None else reading.offset + reading.length
    return [
        number
        for number, start in enumerate(starts)
        if start >= reading.offset and (stop is None or start < stop)
    ]


@contextmanager
def _seekable(fd: BinaryIO) -> Iterator[BinaryIO]:
    """The file, or a copy on the disk of one that cannot seek: its index is at its end."""
    if fd.seekable():
        yield fd
        return
    with tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(fd, copy, 1 << 20)
        copy.seek(0)
        yield copy
