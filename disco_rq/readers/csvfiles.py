"""Records of CSV, as Python's ``csv`` reads them, each with its header; a file may come in pieces."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, BinaryIO

from disco_rq.errors import WrongContent
from disco_rq.readers.csvborders import record_borders
from disco_rq.readers.telling import UTF_8_BOM, has_newline_byte, refuse_other_than_text
from disco_rq.redact import redact
from disco_rq.runtime import entries_begin, is_read_now, leave_out

__all__ = ["CsvReader", "CsvRecords"]

_CHUNK_BYTES = 256 << 10
_TOLD_BYTES = 512
_HEADER_BYTES = 64 << 10
_FIELD_CHARS = 64 << 20
"""A field that is longer is one whose quote is not closed."""
_UNCLOSED = "its last quote is not closed until the file ends"
_BOM = "\ufeff"
_SEPARATOR = re.compile(r'"?sep=(.)"?[\r\n]*', re.IGNORECASE)
"""What Excel reads from the first line of a file, and hides."""


@dataclass(frozen=True, slots=True)
class CsvReader:
    """``func.csv_reader``: a dict a record, or a list."""

    header: bool | tuple[str, ...]
    delimiter: str
    quotechar: str | None
    encoding: str

    @property
    def line_based(self) -> bool:
        """Whether each line is a record."""
        return self.quotechar is None and has_newline_byte(self.encoding)

    @property
    def is_whole(self) -> bool:
        return False

    @property
    def reads_through(self) -> bool:
        return True

    def borders(self, file: BinaryIO, size: int, piece_size: int) -> list[int]:
        """Where records begin; none where that cannot be told."""
        if self.quotechar is None or not has_newline_byte(self.encoding):
            return []
        quote, delimiter = self.quotechar.encode(), self.delimiter.encode()
        file.seek(len(UTF_8_BOM) if file.read(len(UTF_8_BOM)) == UTF_8_BOM else 0)
        return record_borders(file, size, piece_size, quote=quote, delimiter=delimiter)

    def __call__(self, fd: BinaryIO, size: int | None, fname: str) -> Iterator[Any]:  # noqa: ARG002
        records = CsvRecords(self, fd, fname)
        entries_begin(records.last_begins, only_last=True)
        if self.header is False:
            return iter(records)
        return _as_dicts(records)


def _as_dicts(records: CsvRecords) -> Iterator[dict[str, str]]:
    names = records.names()
    if names is None:
        return
    for record in records.of_width(len(names)):
        yield dict(zip(names, record, strict=True))


class CsvRecords:
    """The records of a file, or of a piece of it; blank lines are none.

    What cannot be parsed, or has another number of fields than it should, is left out by ``leave_out``.
    """

    def __init__(self, reader: CsvReader, fd: BinaryIO, fname: str) -> None:
        self._reader = reader
        self._fname = fname
        reading = is_read_now()
        self._starts_file = reading.offset == 0
        self._may_have_separator = self._starts_file
        self._head = reading.head
        # Where the first of the lines that are kept begins; behind the mark of UTF-16.
        self._at = reading.offset or len("".encode(reader.encoding))
        self._first = 0  # its number
        self._done = 0  # lines of the records that were given out
        self._kept: list[str] = []  # lines from the record on that is parsed now
        chunks = iter(lambda: fd.read(_CHUNK_BYTES), b"")
        if self._starts_file:
            chunks = self._looked_at(chunks)
        self._rows = self._parsed(chain.from_iterable(self._lines(chunks)))
        csv.field_size_limit(max(csv.field_size_limit(), _FIELD_CHARS))

    def __iter__(self) -> Iterator[list[str]]:
        rows = self._rows
        while True:
            try:
                for row in rows:
                    if row:
                        yield row
                    self._done = rows.line_num
                break
            except csv.Error as error:
                self._leave_out(str(error), rows.line_num)
                self._done = rows.line_num

    def of_width(self, width: int) -> Iterator[list[str]]:
        """The records with so many fields."""
        for row in self:
            if len(row) == width:
                yield row
            else:
                self._leave_out(f"{len(row)} columns, the header has {width}", self._rows.line_num)

    def names(self) -> tuple[str, ...] | None:
        """The names of the columns; None if the file has no header, since it is empty."""
        header = self._reader.header
        if not isinstance(header, bool):
            return header
        found = self._first_here() if self._starts_file else self._first_of_file()
        if found is None:
            return None
        if len(set(found)) < len(found):
            twice = next(name for name in found if found.count(name) > 1)
            raise WrongContent(f"{redact(self._fname)} has two columns with the name {twice!r} in its header")
        return tuple(found)

    def _first_here(self) -> list[str] | None:
        found = next(iter(self), None)
        self._done = self._rows.line_num
        return found

    def _first_of_file(self) -> list[str] | None:
        """The header, for a piece that begins behind it, or behind blank lines."""
        if self._head is None:
            raise WrongContent(f"{redact(self._fname)}: the header cannot be read")
        size = _HEADER_BYTES
        while True:
            head = self._head(size)
            text = head.decode(self._reader.encoding, "surrogateescape").removeprefix(_BOM)
            lines = self._without_separator(list(io.StringIO(text, newline="")))
            rows = self._parsed(lines)
            found: list[str] | None = next((row for row in rows if row), None)
            if rows.line_num < len(lines) or len(head) < size:
                break
            size *= 4
        end = len(head) - self._nr_bytes(lines[rows.line_num :])
        return self._first_here() if end > self._at else found

    def _parsed(self, lines: Iterable[str]) -> Any:
        options: dict[str, Any] = {"delimiter": self._reader.delimiter}
        if self._reader.quotechar is None:
            return csv.reader(lines, quoting=csv.QUOTE_NONE, **options)
        return csv.reader(lines, quotechar=self._reader.quotechar, **options)

    def _looked_at(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """The chunks of a file from its start, if they are text, without the byte-order mark of UTF-8."""
        first = next(chunks, b"")
        while len(first) < _TOLD_BYTES and (more := next(chunks, b"")):
            first += more
        refuse_other_than_text(first[:_TOLD_BYTES], self._fname, self._reader.encoding)
        if first.startswith(UTF_8_BOM) and self._reader.encoding == "utf-8":
            first = first.removeprefix(UTF_8_BOM)
            self._at += len(UTF_8_BOM)
        return chain([first], chunks)

    def _lines(self, chunks: Iterator[bytes]) -> Iterator[Iterable[str]]:
        """The lines, ended as Python ends lines: by a lone return, too."""
        begun: list[str] = []  # from the last line's start: its end, or the rest of it, may come yet
        for text in self._decoded(chunks):
            begun.append(text)
            if "\n" in text or "\r" in text:
                *lines, rest = io.StringIO("".join(begun), newline="")
                begun = [rest]
                yield self._keep(self._of_start(lines))
        if lines := list(io.StringIO("".join(begun), newline="")):  # two, if the first had its end
            yield self._keep(self._of_start(lines))
        if len(self._kept) > self._done - self._first:  # csv wants more lines for the last record
            raise csv.Error(_UNCLOSED)

    def _of_start(self, lines: list[str]) -> list[str]:
        """The lines; at the start of the file without the first one, if that says what separates fields."""
        if not (self._may_have_separator and lines):
            return lines
        self._may_have_separator = False
        rest = self._without_separator(lines)
        self._at += self._nr_bytes(lines[: len(lines) - len(rest)])
        return rest

    def _without_separator(self, lines: list[str]) -> list[str]:
        found = _SEPARATOR.fullmatch(lines[0]) if lines else None
        delimiter = self._reader.delimiter
        if found is None or delimiter == "=":
            return lines
        if found[1] != delimiter:
            raise WrongContent(
                f"{redact(self._fname)} begins with {lines[0].strip()!r}: its fields are separated by "
                f"{found[1]!r}. Give func.csv_reader(delimiter={found[1]!r}), or drop that line"
            )
        return lines[1:]

    def _decoded(self, chunks: Iterator[bytes]) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder(self._reader.encoding)("surrogateescape")
        may_have_mark = self._starts_file
        try:
            for chunk in chain(chunks, [b""]):
                text = decoder.decode(chunk, not chunk)
                if may_have_mark and text.startswith(_BOM):
                    text = text.removeprefix(_BOM)
                    self._at += len(_BOM.encode(self._reader.encoding))
                if text:
                    may_have_mark = False
                    yield text
        except UnicodeError as error:
            raise WrongContent(f"{redact(self._fname)} is no {self._reader.encoding} text: {error}") from None

    def _keep(self, lines: list[str]) -> list[str]:
        """Remember the lines for as long as a record may begin in them that turns out to be bad."""
        over = self._done - self._first
        self._at += self._nr_bytes(self._kept[:over])
        self._kept = self._kept[over:] + lines
        self._first = self._done
        return lines

    def _nr_bytes(self, lines: list[str]) -> int:
        encoding = self._reader.encoding
        return len("".join(lines).encode(encoding, "surrogateescape")) - len("".encode(encoding))

    def last_begins(self, _: int = 0) -> int:
        """The byte at which the record begins that was given out last."""
        return self._at + self._nr_bytes(self._kept[: self._done - self._first])

    def _leave_out(self, why: str, end: int) -> None:
        lines = self._kept[self._done - self._first : end - self._first]
        leave_out("".join(lines).rstrip("\r\n"), why, self._fname, self.last_begins())
