"""Readers: from the bytes of an input to entries. ``func`` hands them on to users.

``telling`` knows what is no text by its first bytes, ``lines`` makes lines of the rest. ``borders`` is what
the planner asks: where a file may be cut, and which packages a reader needs.
"""

from disco_rq.readers.borders import FindsBorders, borders_of, check_packages, packages_of
from disco_rq.readers.csvfiles import CsvReader
from disco_rq.readers.files import FileReader
from disco_rq.readers.jsonlines import JsonlReader
from disco_rq.readers.lines import BytesLines, TextReader, map_line_reader
from disco_rq.readers.parquet import ParquetBatches, ParquetReader
from disco_rq.readers.telling import UTF_8_BOM, is_parquet, refuse_other_than_text

__all__ = [
    "BytesLines",
    "CsvReader",
    "FileReader",
    "FindsBorders",
    "JsonlReader",
    "ParquetBatches",
    "ParquetReader",
    "UTF_8_BOM",
    "TextReader",
    "borders_of",
    "check_packages",
    "is_parquet",
    "map_line_reader",
    "packages_of",
    "refuse_other_than_text",
]
