"""What is known of the entries of our own readers. One of the user's that calls them may leave some out."""

from __future__ import annotations

from disco_rq.readers.batches import CsvBatches, JsonlBatches
from disco_rq.readers.csvfiles import CsvReader
from disco_rq.readers.jsonlines import JsonlReader
from disco_rq.readers.lines import BytesLines, TextReader, map_line_reader
from disco_rq.readers.parquet import ParquetBatches

__all__ = ["gives_batches", "tells_begins"]


def tells_begins(reader: object) -> bool:
    """Whether it calls ``entries_begin``, and gives every entry of which it tells."""
    return reader is map_line_reader or isinstance(reader, TextReader | BytesLines | JsonlReader | CsvReader)


def gives_batches(reader: object) -> bool:
    """Whether an entry is many rows."""
    return isinstance(reader, CsvBatches | JsonlBatches | ParquetBatches)
