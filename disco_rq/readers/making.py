"""The ready-made readers, made of their options: ``map_reader=func.csv_reader(delimiter=";")``.

A wrong option is a ``ValueError`` or ``TypeError`` that names it, where the reader is made.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from typing import Any

from disco_rq.readers.batches import CsvBatches, JsonlBatches
from disco_rq.readers.csvfiles import CsvReader
from disco_rq.readers.files import FileReader
from disco_rq.readers.jsonlines import JsonlReader
from disco_rq.readers.lines import BytesLines, TextReader
from disco_rq.readers.parquet import ParquetBatches, ParquetReader

__all__ = [
    "bytes_lines",
    "csv_batches",
    "csv_reader",
    "file_reader",
    "jsonl_batches",
    "jsonl_reader",
    "parquet_batches",
    "parquet_reader",
    "text_reader",
]


def text_reader(encoding: str = "utf-8") -> TextReader:
    r"""A ``map_reader``: lines of text in an encoding, without their end (``\n`` or ``\r\n``).

    A byte-order mark at the start goes. What is no such text raises ``WrongContent``. Raises ``ValueError``
    for an encoding that Python does not know.
    """
    return TextReader(_encoding("text_reader", encoding))


def bytes_lines() -> BytesLines:
    r"""A ``map_reader``: lines as bytes, without their end (``\n`` or ``\r\n``)."""
    return BytesLines()


def file_reader() -> FileReader:
    """A ``map_reader``: the file, whole, as bytes."""
    return FileReader()


def jsonl_reader() -> JsonlReader:
    """A ``map_reader``: what each line of JSON holds, as ``json.loads`` gives it; blank lines are skipped.

    A line that holds no JSON goes to ``skip_entry``.
    """
    return JsonlReader()


def csv_reader(
    header: bool | Iterable[str] = True,
    delimiter: str = ",",
    quotechar: str | None = '"',
    encoding: str = "utf-8",
) -> CsvReader:
    """A ``map_reader``: the records of CSV, as the module ``csv`` reads them; blank lines are skipped.

    ``header=True``: a dict a record, with the names of the file's first record. A list of names: dicts with
    these, and the first record is one as any other. ``False``: a list of str a record, of any length.
    ``quotechar=None``: quotes mean nothing, each line is a record. A record with another number of columns
    than the header, or whose quote is not closed, goes to ``skip_entry``.
    """
    return _csv("csv_reader", header, delimiter, quotechar, encoding)


def csv_batches(
    header: bool | Iterable[str] = True,
    delimiter: str = ",",
    quotechar: str | None = '"',
    encoding: str = "utf-8",
) -> CsvBatches:
    """A ``map_reader``: what ``csv_reader`` reads, as ``pyarrow.RecordBatch``es of at most 10,000 records,
    fewer where these have more than 16 MiB of text.

    Every column is of text: no type depends on where a file is cut. Needs pyarrow (``disco-rq[arrow]``), and
    names: ``header=False`` is a ``ValueError``.
    """
    if header is False:
        raise ValueError("csv_batches(header=False): columns need names, header=[…]")
    return CsvBatches(_csv("csv_batches", header, delimiter, quotechar, encoding))


def jsonl_batches() -> JsonlBatches:
    """A ``map_reader``: lines of JSON objects as ``pyarrow.RecordBatch``es of at most 10,000 lines,
    fewer where these have more than 16 MiB.

    A batch has a column for each key that its lines have; its type is that of the values in the batch. Needs
    pyarrow (``disco-rq[arrow]``).
    """
    return JsonlBatches()


def parquet_reader(columns: Iterable[str] | None = None) -> ParquetReader:
    """A ``map_reader``: a dict a row, of some columns or of all. Needs pyarrow (``disco-rq[arrow]``)."""
    return ParquetReader(None if columns is None else _names("parquet_reader", "columns", columns))


def parquet_batches(columns: Iterable[str] | None = None) -> ParquetBatches:
    """A ``map_reader``: ``pyarrow.RecordBatch``es of at most 10,000 rows, of some columns or of all.

    Needs pyarrow (``disco-rq[arrow]``).
    """
    return ParquetBatches(None if columns is None else _names("parquet_batches", "columns", columns))


def _csv(reader: str, header: Any, delimiter: str, quotechar: str | None, encoding: str) -> CsvReader:
    _check_character(reader, "delimiter", delimiter)
    if quotechar is not None:
        _check_character(reader, "quotechar", quotechar)
    if quotechar == delimiter:
        raise ValueError(f"{reader}(quotechar={quotechar!r}): that is the delimiter")
    names = header if isinstance(header, bool) else _names(reader, "header", header)
    return CsvReader(names, delimiter, quotechar, _encoding(reader, encoding))


def _encoding(reader: str, encoding: Any) -> str:
    """Its name; a mark of UTF-8 goes without saying."""
    if not isinstance(encoding, str):
        raise TypeError(f"{reader}(encoding={encoding!r}): it takes the name of an encoding")
    try:
        "".encode(encoding)
    except LookupError:
        raise ValueError(f"{reader}(encoding={encoding!r}): there is no such encoding") from None
    name = codecs.lookup(encoding).name
    return "utf-8" if name == "utf-8-sig" else name


def _check_character(reader: str, option: str, value: Any) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{reader}({option}={value!r}): it takes one character")
    if len(value) != 1 or not value.isascii() or value in ("\n", "\r", "\0"):
        raise ValueError(f"{reader}({option}={value!r}): it takes one character of ASCII, and no line end")


def _names(reader: str, option: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise TypeError(f"{reader}({option}={value!r}): it takes a list of names")
    names = tuple(value)
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"{reader}({option}=…): a name is a str, not {name!r}")
        if names.count(name) > 1:
            raise ValueError(f"{reader}({option}=…): {name!r} is there twice")
    if not names:
        raise ValueError(f"{reader}({option}={value!r}): there is no name in it")
    return names
