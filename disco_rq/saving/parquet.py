"""Parquet files with the columns ``key`` and ``value``; needs pyarrow."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from disco_rq.errors import CorruptData, DataError, RecordTypeError
from disco_rq.records.typed import pack_columns

__all__ = ["has_parquet", "read_parquet", "write_parquet"]

NEEDS = "pip install 'disco-rq[parquet]'"
_ROWS = 10_000

Pairs = Iterable[tuple[Any, Any]]


def has_parquet() -> bool:
    """Whether pyarrow is here."""
    return importlib.util.find_spec("pyarrow") is not None


def write_parquet(pairs: Callable[[], Pairs], to: Path) -> None:
    """Write all pairs, which are asked for twice: for their types, then to write them.

    A column has one type, None aside. Raises ``RecordTypeError`` for what would not come back as it is.
    """
    arrow, parquet = _pyarrow()
    schema = arrow.schema([("key", arrow.null()), ("value", arrow.null())])
    for keys, values in _columns(pairs()):
        found = [("key", _type(arrow, keys, "key")), ("value", _type(arrow, values, "value"))]
        try:
            schema = arrow.unify_schemas([schema, arrow.schema(found)])
        except (arrow.ArrowInvalid, arrow.ArrowTypeError) as error:
            raise RecordTypeError(f"parquet holds one type in a column: {error}") from error
    with parquet.ParquetWriter(to, schema, compression="zstd") as writer:
        for keys, values in _columns(pairs()):
            columns = [
                _array(arrow, keys, schema.field("key").type, "key"),
                _array(arrow, values, schema.field("value").type, "value"),
            ]
            writer.write_table(arrow.Table.from_arrays(columns, schema=schema))


def read_parquet(file: BinaryIO, name: str) -> Iterator[tuple[Any, Any]]:
    """The pairs of a file that can seek. Raises ``CorruptData`` if it is no such file, or altered."""
    arrow, parquet = _pyarrow()
    try:
        for batch in parquet.ParquetFile(file).iter_batches(_ROWS, columns=["key", "value"]):
            yield from zip(batch.column("key").to_pylist(), batch.column("value").to_pylist(), strict=True)
    except (arrow.ArrowException, KeyError) as error:
        raise CorruptData(f"{name} is no parquet file of saved pairs, or altered: {error}", name) from error


def _pyarrow() -> tuple[Any, Any]:
    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise DataError(f"parquet needs pyarrow on every node and in the client: {NEEDS}") from None


def _columns(pairs: Pairs) -> Iterator[tuple[list[Any], list[Any]]]:
    rows = iter(pairs)
    while some := list(islice(rows, _ROWS)):
        yield [key for key, _ in some], [value for _, value in some]


def _type(arrow: Any, column: list[Any], what: str) -> Any:
    try:
        return arrow.infer_type(column)
    except (arrow.ArrowException, OverflowError) as error:
        raise _refusal(column, what) from error


def _array(arrow: Any, column: list[Any], type: Any, what: str) -> Any:
    try:
        array = arrow.array(column, type)
    except (arrow.ArrowException, OverflowError) as error:
        raise _refusal(column, what) from error
    back = array.to_pylist()
    if not _equal(column, back):
        raise _refusal([next(a for a, b in zip(column, back, strict=True) if not _equal([a], [b]))], what)
    return array


def _equal(one: list[Any], other: list[Any]) -> bool:
    """Equal, types included."""
    try:
        return pack_columns(one, [], grouped=False) == pack_columns(other, [], grouped=False)
    except RecordTypeError:  # a type of pyarrow's own
        return False


def _refusal(column: list[Any], what: str) -> RecordTypeError:
    kinds = " and ".join(dict.fromkeys(type(item).__qualname__ for item in column if item is not None))
    return RecordTypeError(
        f"parquet does not hold the {what} column with the type {kinds} so that it comes back as it is: "
        "a column has one type; convert it, or save as msgpack, which holds all that records hold"
    )
