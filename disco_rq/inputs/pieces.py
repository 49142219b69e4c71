"""Pieces of line-based files: where they are cut, and the lines that each one owns.

A piece owns the lines that start within it: the first piece starts with the file, and a line that crosses a
border belongs to the piece it starts in. So every line is read exactly once over all pieces, whatever their
sizes.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import pairwise
from typing import Protocol

from disco_rq.errors import DiscoError

__all__ = ["Readable", "UpToLine", "Window", "cut", "own_lines", "pieces_between"]

_CHUNK_BYTES = 64 << 10


class Readable(Protocol):
    """What pieces are cut from: a file opened for reading, buffered or not."""

    def read(self, size: int, /) -> bytes | None: ...
    def seek(self, offset: int, /) -> int: ...


def cut(size: int, piece_size: int) -> list[tuple[int, int | None]]:
    """``(start, length)`` of evenly sized pieces of at most ``piece_size`` bytes. The last has no length: it
    reads to the end of the file, also if that was appended to in the meantime."""
    count = max(-(-size // piece_size), 1)
    return pieces_between([i * size // count for i in range(count)])


def pieces_between(starts: list[int]) -> list[tuple[int, int | None]]:
    """``(start, length)`` of the pieces that begin there; the last one reads to the end of the file."""
    lengths = [stop - start for start, stop in pairwise(starts)]
    return list(zip(starts, [*lengths, None], strict=True))


def own_lines(
    file: Readable, start: int, length: int | None, size: int, planned: int | None = None
) -> tuple[int, int]:
    """``(first, stop)``: the bytes of the lines that start within the piece, of a file of ``size`` bytes.

    ``planned``: how far it went when it was cut, if it has grown since.
    """
    known = size if planned is None else planned
    end = known if length is None else min(start + length, known)
    first = 0 if start == 0 else _line_start(file, start, limit=end)
    if first >= end:
        return end, end
    return first, size if end == size else _line_start(file, end, limit=size)


def _line_start(file: Readable, position: int, *, limit: int) -> int:
    """Where the first line at or after ``position`` starts; ``limit`` when none starts before it.

    Looks no further than ``limit``: many pieces of one endless line cost one pass, not one each.
    """
    at = position - 1  # a newline right before the position ends the line before
    file.seek(at)
    while at < limit:
        chunk = file.read(min(_CHUNK_BYTES, limit - at))
        if not chunk:
            break
        newline = chunk.find(b"\n")
        if newline >= 0:
            return min(at + newline + 1, limit)
        at += len(chunk)
    return limit


class UpToLine(io.RawIOBase):
    """Reads ``length`` bytes of a ``source`` that cannot seek, and to the end of the line that they cut."""

    def __init__(self, source: io.RawIOBase | io.BufferedIOBase, length: int) -> None:
        self._source = source
        self._length = length
        self._at = 0
        self._in_line = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        left = self._length - self._at
        if left <= 0 and not self._in_line:
            return 0
        part = memoryview(buffer)[:left] if left > 0 else memoryview(buffer)
        size = self._source.readinto(part) or 0
        if left <= 0 and (newline := bytes(part[:size]).find(b"\n")) >= 0:
            size = newline + 1
        self._in_line = size > 0 and part[size - 1] != ord("\n")
        self._at += size
        return size


class Window(io.RawIOBase):
    """Reads ``source`` from where it is, up to ``length`` bytes. Can seek, within the window, if the source
    can.

    ``convert`` is told of every exception in reading but our own, and answers what to raise instead.
    ``verify`` is called once, when all is read, and raises if it cannot be what it was at the start.
    """

    # A BufferedReader looks at this for every line, and the inherited property is dearer (13 % of reading).
    closed = False

    def __init__(
        self,
        source: io.RawIOBase | io.BufferedIOBase,
        *,
        start: int,
        length: int | None,
        convert: Callable[[Exception], Exception],
        verify: Callable[[], None] = lambda: None,
        offset: int | None = None,
    ) -> None:
        """``offset``: where the piece begins for which this is opened, if not where the window does."""
        self._source = source
        self.start = start
        self.offset = start if offset is None else offset
        self._length = length
        self._at = 0
        self._convert = convert
        self._verify = verify
        self._is_verified = False

    def close(self) -> None:
        self.closed = True

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._length is not None and bool(self._source.seekable())

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self._length is not None:
            buffer = memoryview(buffer)[: max(self._length - self._at, 0)]
        try:
            size = self._source.readinto(buffer) if len(buffer) else 0
            if not size and len(buffer) and self._length is not None:
                raise EOFError(f"the file ends after {self.start + self._at} bytes: it has become shorter")
            if (not size or self._at + size == self._length) and not self._is_verified:
                self._verify()
                self._is_verified = True
        except (DiscoError, MemoryError):
            raise
        except Exception as error:  # any fsspec file system's, codec's or server's
            raise self._convert(error) from error
        self._at += size or 0
        return size or 0

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        if self._length is None or not self._source.seekable():
            raise io.UnsupportedOperation("seek")
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._length}[whence]
        if base + offset < 0:
            raise ValueError(f"negative seek position {base + offset}")
        try:
            self._source.seek(self.start + base + offset)
        except (DiscoError, MemoryError):
            raise
        except Exception as error:  # as in readinto
            raise self._convert(error) from error
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def head(self, size: int) -> bytes:
        """The first bytes of the file, if it can seek; what is read next stays the same."""
        head = b""
        try:
            self._source.seek(0)
            while len(head) < size and (data := self._source.read(size - len(head))):
                head += data
            self._source.seek(self.start + self._at)
        except (DiscoError, MemoryError):
            raise
        except Exception as error:  # as in readinto
            raise self._convert(error) from error
        return head
