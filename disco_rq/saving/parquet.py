"""Parquet files with the columns ``key`` and ``value``; needs pyarrow.

What the Python values were is kept in the file's metadata, under ``disco_rq``, where its types do not say it.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from disco_rq.errors import CorruptData, DataError
from disco_rq.records import all_blocks, batches, read_pairs
from disco_rq.saving.coding import decoded, encoded
from disco_rq.saving.refusal import refusal
from disco_rq.saving.shapes import Misfit, Shape

__all__ = ["has_parquet", "read_parquet", "write_parquet"]

NEEDS = "pip install 'disco-rq[parquet]'"
_ROWS = 10_000
_BYTES = 8 << 20
"""Of records; as Python objects they take several times as much."""
_ABOUT = b"disco_rq"
_COLUMNS = ("key", "value")

Pairs = Iterable[tuple[Any, Any]]


def has_parquet() -> bool:
    """Whether pyarrow is here."""
    return importlib.util.find_spec("pyarrow") is not None


def write_parquet(records: Path, to: BinaryIO) -> None:
    """Write all pairs of a record file, which is read twice: for their types, then to write them.

    A column has one type, None aside. Raises ``RecordTypeError`` for what would not come back as it is.
    """
    arrow, parquet = _pyarrow()
    shapes = _shapes(read_pairs(records))
    about = json.dumps({column: shape.told() for column, shape in shapes.items()})
    schema = arrow.schema(
        [(column, shape.arrow_type()) for column, shape in shapes.items()], metadata={_ABOUT: about}
    )
    with parquet.ParquetWriter(to, schema, compression="zstd") as writer:
        for some in _some(records):
            arrays = [
                arrow.array(encoded([pair[i] for pair in some], shapes[column].told()), schema.field(i).type)
                for i, column in enumerate(_COLUMNS)
            ]
            writer.write_table(arrow.Table.from_arrays(arrays, schema=schema))


def _shapes(pairs: Pairs) -> dict[str, Shape]:
    keys, values = Shape(), Shape()
    for key, value in pairs:
        what = "key"
        try:
            keys.see(key)
            what = "value"
            values.see(value)
        except Misfit as misfit:
            raise refusal("parquet", what, misfit.value, key, misfit.detail) from None
    return {"key": keys, "value": values}


def read_parquet(file: BinaryIO, name: str) -> Iterator[tuple[Any, Any]]:
    """The pairs of a file. Raises ``CorruptData`` if it is no such file, or altered."""
    arrow, parquet = _pyarrow()
    try:
        with _seekable(file) as seekable:
            source = parquet.ParquetFile(seekable)
            told = json.loads((source.schema_arrow.metadata or {}).get(_ABOUT, "{}"))
            keys, values = (told.get(column, ["same"]) for column in _COLUMNS)
            for batch in source.iter_batches(_ROWS, columns=list(_COLUMNS)):
                some_keys = decoded(batch.column("key").to_pylist(), keys)
                some_values = decoded(batch.column("value").to_pylist(), values)
                yield from zip(some_keys, some_values, strict=True)
    except (arrow.ArrowException, KeyError, ValueError, TypeError) as error:
        raise CorruptData(f"{name} is no parquet file of saved pairs, or altered: {error}", name) from error


@contextmanager
def _seekable(file: BinaryIO) -> Iterator[BinaryIO]:
    """The file, or a copy on the disk of one that cannot seek: its index is at its end."""
    if file.seekable():
        yield file
        return
    with tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(file, copy, 1 << 20)
        copy.seek(0)
        yield copy


def _pyarrow() -> tuple[Any, Any]:
    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise DataError(f"parquet needs pyarrow on every node and in the client: {NEEDS}") from None


def _some(records: Path) -> Iterator[list[tuple[Any, Any]]]:
    """The pairs, as many at a time as make a group of rows."""
    some: list[tuple[Any, Any]] = []
    held = 0
    for block in all_blocks(records, str(records)):
        for batch in batches([block], str(records)):
            some.extend(batch.pairs())
        held += len(block.data)
        if len(some) >= _ROWS or held >= _BYTES:
            yield some
            some, held = [], 0
    if some:
        yield some
