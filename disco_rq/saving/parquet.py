"""Parquet files with the columns ``key`` and ``value``; needs pyarrow."""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from types import NoneType
from typing import Any, BinaryIO

from disco_rq.errors import CorruptData, DataError, RecordTypeError
from disco_rq.records.pairs import shown
from disco_rq.records.typed import pack_columns
from disco_rq.saving.refusal import refusal

__all__ = ["has_parquet", "read_parquet", "write_parquet"]

NEEDS = "pip install 'disco-rq[parquet]'"
_ROWS = 10_000

Pairs = Iterable[tuple[Any, Any]]


def has_parquet() -> bool:
    """Whether pyarrow is here."""
    return importlib.util.find_spec("pyarrow") is not None


def write_parquet(pairs: Callable[[], Pairs], to: BinaryIO) -> None:
    """Write all pairs, which are asked for twice: for their types, then to write them.

    A column has one type, None aside. Raises ``RecordTypeError`` for what would not come back as it is.
    """
    arrow, parquet = _pyarrow()
    schema = arrow.schema([("key", arrow.null()), ("value", arrow.null())])
    for keys, values in _columns(pairs()):
        found = [("key", _type(arrow, keys, "key", keys)), ("value", _type(arrow, values, "value", keys))]
        try:
            schema = arrow.unify_schemas([schema, arrow.schema(found)])
        except (arrow.ArrowInvalid, arrow.ArrowTypeError) as error:
            raise RecordTypeError(
                f"parquet holds one type in a column: {error} (at or behind the key {shown(keys[0])})"
            ) from error
    with parquet.ParquetWriter(to, schema, compression="zstd") as writer:
        for keys, values in _columns(pairs()):
            columns = [
                _array(arrow, keys, schema.field("key").type, "key", keys),
                _array(arrow, values, schema.field("value").type, "value", keys),
            ]
            writer.write_table(arrow.Table.from_arrays(columns, schema=schema))


def read_parquet(file: BinaryIO, name: str) -> Iterator[tuple[Any, Any]]:
    """The pairs of a file. Raises ``CorruptData`` if it is no such file, or altered."""
    arrow, parquet = _pyarrow()
    try:
        with _seekable(file) as source:
            for batch in parquet.ParquetFile(source).iter_batches(_ROWS, columns=["key", "value"]):
                keys, values = batch.column("key").to_pylist(), batch.column("value").to_pylist()
                yield from zip(keys, values, strict=True)
    except (arrow.ArrowException, KeyError) as error:
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


def _columns(pairs: Pairs) -> Iterator[tuple[list[Any], list[Any]]]:
    rows = iter(pairs)
    while some := list(islice(rows, _ROWS)):
        yield [key for key, _ in some], [value for _, value in some]


def _type(arrow: Any, column: list[Any], what: str, keys: list[Any]) -> Any:
    try:
        return arrow.infer_type(column)
    except _refused(arrow) as error:
        raise _refusal(arrow, column, what, keys) from error


def _array(arrow: Any, column: list[Any], type: Any, what: str, keys: list[Any]) -> Any:
    try:
        array = arrow.array(column, type)
    except _refused(arrow) as error:
        raise _refusal(arrow, column, what, keys) from error
    back = array.to_pylist()
    if not _equal(column, back):
        other = next(i for i, item in enumerate(column) if not _equal([item], [back[i]]))
        raise refusal("parquet", what, column[other], keys[other], _detail(column[other], column))
    return array


def _refused(arrow: Any) -> tuple[type[Exception], ...]:
    """What pyarrow raises for values that it cannot hold."""
    return arrow.ArrowException, OverflowError, UnicodeError


def _equal(one: list[Any], other: list[Any]) -> bool:
    """Equal, types included."""
    try:
        return pack_columns(one, [], grouped=False) == pack_columns(other, [], grouped=False)
    except RecordTypeError:  # a type of pyarrow's own
        return False


def _refusal(arrow: Any, column: list[Any], what: str, keys: list[Any]) -> RecordTypeError:
    """For the first item that is none for pyarrow, or else for the first of another type than the first."""
    kinds = [type(item) for item in column]
    kind = next((kind for kind in kinds if kind is not NoneType), NoneType)
    mixed = (i for i, other in enumerate(kinds) if other not in (kind, NoneType))
    culprit = next((i for i, item in enumerate(column) if not _is_held(arrow, item)), None)
    if culprit is None:
        culprit = next(mixed, 0)
    return refusal("parquet", what, column[culprit], keys[culprit], _detail(column[culprit], column))


def _is_held(arrow: Any, item: Any) -> bool:
    try:
        return bool(arrow.array([item]))
    except _refused(arrow):
        return False


def _detail(item: Any, column: list[Any]) -> str:
    """What is special about an item that is not held."""
    match item:
        case datetime() if item.tzinfo is not None:
            return " and a time zone"
        case str() if not item.isascii() and item != item.encode(errors="ignore").decode():
            return " that UTF-8 cannot hold (lone surrogates)"
        case int() if not -(1 << 63) <= item < 1 << 63:
            return " of more than 64 bits"
    others = {type(other).__qualname__ for other in column} - {type(item).__qualname__, "NoneType"}
    return f" in one column with {', '.join(sorted(others))}" if others else " so that it comes back as it is"
