"""Lines of text, or of bytes. ``\\n`` and ``\\r\\n`` end a line; a lone ``\\r`` is part of it."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate, chain
from typing import BinaryIO

from disco_rq.errors import WrongContent
from disco_rq.readers.telling import UTF_8_BOM, has_newline_byte, refuse_other_than_text
from disco_rq.redact import redact
from disco_rq.runtime import entries_begin, is_read_now, reads_start

__all__ = ["BytesLines", "LineStarts", "TextReader", "map_line_reader"]

_CHUNK_BYTES = 256 << 10
_HEAD_BYTES = 512


def map_line_reader(fd: BinaryIO, size: int | None, fname: str) -> Iterator[str]:  # noqa: ARG001
    r"""Lines of text without their end (``\n`` or ``\r\n``); the last one may lack it. The default
    ``map_reader``.

    UTF-8; bytes that are not come through as lone surrogates (``surrogateescape``), so no line is lost. A
    byte-order mark at the start of a file goes. What is no text raises ``WrongContent``: archives, Parquet,
    results of jobs, UTF-16 and UTF-32, with what reads it.
    """
    return _text_lines(fd, fname, "utf-8")


map_line_reader.line_based = True  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class TextReader:
    """``func.text_reader``: lines as str in an encoding."""

    encoding: str

    @property
    def line_based(self) -> bool:
        """Whether files may be cut where a byte says that a line ends."""
        return has_newline_byte(self.encoding)

    def __call__(self, fd: BinaryIO, size: int | None, fname: str) -> Iterator[str]:  # noqa: ARG002
        if self.line_based:
            return _text_lines(fd, fname, self.encoding)
        chunks: Iterable[bytes] = iter(lambda: fd.read(_CHUNK_BYTES), b"")
        if reads_start():
            chunks = _looked_at(chunks, fname, self.encoding)
        return chain.from_iterable(_lines(self._decoded(chunks, fname)))

    def _decoded(self, chunks: Iterable[bytes], fname: str) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder(self.encoding)()
        try:
            for chunk in chunks:
                yield decoder.decode(chunk)
            yield decoder.decode(b"", True)
        except UnicodeError as error:
            raise WrongContent(f"{redact(fname)} is no {self.encoding} text: {error}") from None


@dataclass(frozen=True, slots=True)
class BytesLines:
    """``func.bytes_lines``: lines as bytes."""

    line_based = True

    def __call__(self, fd: BinaryIO, size: int | None, fname: str) -> Iterator[bytes]:  # noqa: ARG002
        return chain.from_iterable(lines.split(b"\n") for lines in _whole_lines(fd, fname))


def _text_lines(fd: BinaryIO, fname: str, encoding: str) -> Iterator[str]:
    return chain.from_iterable(
        lines.decode(encoding, "surrogateescape").split("\n") for lines in _whole_lines(fd, fname, encoding)
    )


def _whole_lines(fd: BinaryIO, fname: str, encoding: str = "utf-8") -> Iterator[bytes]:
    r"""Some lines at a time, with ``\n`` between them and not behind the last one."""
    for at, lines in raw_lines(fd, fname, encoding):
        entries_begin(LineStarts(at, lines))
        if b"\r" in lines:
            lines = lines.replace(b"\r\n", b"\n")
        yield lines.removesuffix(b"\n")


class LineStarts:
    """The byte at which each of some lines begins. Nothing is done before one is asked for."""

    def __init__(self, at: int, lines: bytes, *, with_empty: bool = True) -> None:
        """``at``: where the first of them begins. ``with_empty``: whether empty ones count."""
        self._at = at
        self._lines = lines
        self._with_empty = with_empty
        self._starts: list[int] = []

    def __call__(self, n: int) -> int:
        if not self._starts:
            lines = self._lines.split(b"\n")
            starts = accumulate((len(line) + 1 for line in lines), initial=self._at)
            self._starts = [at for at, line in zip(starts, lines, strict=False) if line or self._with_empty]
            self._lines = b""
        return self._starts[n]


def raw_lines(fd: BinaryIO, fname: str, encoding: str = "utf-8") -> Iterator[tuple[int, bytes]]:
    """The byte of the file at which some lines begin, and these lines with their ends.

    A file from its start is looked at, whether it is text, and its mark of UTF-8 goes.
    """
    pieces: list[bytes] = []  # of a line whose end has not come yet
    chunks: Iterator[bytes] = iter(lambda: fd.read(_CHUNK_BYTES), b"")
    at = is_read_now().offset
    if at == 0:
        chunks = _looked_at(chunks, fname, encoding)
        first = next(chunks)
        if first.startswith(UTF_8_BOM) and codecs.lookup(encoding).name == "utf-8":
            first = first.removeprefix(UTF_8_BOM)
            at = len(UTF_8_BOM)
        chunks = chain([first], chunks)
    for chunk in chunks:
        end = chunk.rfind(b"\n")
        if end < 0:
            pieces.append(chunk)
            continue
        pieces.append(chunk[: end + 1])
        lines = b"".join(pieces)
        yield at, lines
        at += len(lines)
        pieces = [chunk[end + 1 :]] if end + 1 < len(chunk) else []
    if rest := b"".join(pieces):
        yield at, rest


def _looked_at(chunks: Iterable[bytes], fname: str, encoding: str) -> Iterator[bytes]:
    """The chunks of a file from its start, if they are text: one at least."""
    chunks = iter(chunks)
    first = next(chunks, b"")
    while len(first) < _HEAD_BYTES and (more := next(chunks, b"")):
        first += more
    refuse_other_than_text(first[:_HEAD_BYTES], fname, encoding)
    yield first
    yield from chunks


def _lines(texts: Iterable[str]) -> Iterator[list[str]]:
    """The lines of decoded text, however it is cut."""
    rest = ""
    for text in texts:
        *lines, rest = (rest + text).split("\n")
        yield [line.removesuffix("\r") for line in lines]
    if rest:
        yield [rest]
