"""Pairs of netstrings, Disco's own format: ``<length> <key> <length> <value>\\n``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from disco_rq.errors import DataError

__all__ = ["netstr_pairs"]

_CHUNK_BYTES = 256 << 10
_LENGTH_DIGITS = 20


def netstr_pairs(fd: BinaryIO, fname: str) -> Iterator[tuple[bytes, bytes]]:
    """All pairs. Raises ``DataError`` naming the place if the input is truncated or no row of netstrings."""
    strings = _NetstrStream(fd, fname)
    while (key := strings.next(b" ")) is not None:
        value = strings.next(b"\n")
        if value is None:
            raise DataError(f"truncated input {fname}: a key without its value at its end", fname)
        yield key, value


class _NetstrStream:
    """``<length> <bytes><terminator>`` one after the other."""

    def __init__(self, fd: BinaryIO, fname: str) -> None:
        self._fd = fd
        self._fname = fname
        self._data = b""
        self._start = 0
        self._offset = 0  # of the data's first byte in the input

    def next(self, terminator: bytes) -> bytes | None:
        """The next string, None at the end of the input."""
        space = self._data.find(b" ", self._start, self._start + _LENGTH_DIGITS)
        if space < 0:
            self._need(_LENGTH_DIGITS)
            if self._start == len(self._data):
                return None
            space = self._data.find(b" ", self._start, self._start + _LENGTH_DIGITS)
        digits = self._data[self._start : space] if space >= 0 else b""
        if not digits.isdigit():
            raise DataError(
                f"corrupted input {self._fname}: no length at byte {self._position()}", self._fname
            )
        length = int(digits)
        self._start = space + 1
        self._need(length + 1)
        end = self._start + length
        if end >= len(self._data):
            raise DataError(
                f"truncated input {self._fname}: a value of {length} bytes is announced at byte "
                f"{self._position()}, {len(self._data) - self._start} are there",
                self._fname,
            )
        if self._data[end : end + 1] != terminator:
            raise DataError(
                f"corrupted input {self._fname}: the value at byte {self._position()} has not {length} bytes",
                self._fname,
            )
        value = self._data[self._start : end]
        self._start = end + 1
        return value

    def _position(self) -> int:
        return self._offset + self._start

    def _need(self, size: int) -> None:
        """Have ``size`` bytes at hand, or all that are left."""
        missing = size - (len(self._data) - self._start)
        if missing <= 0:
            return
        parts = [self._data[self._start :]]
        while missing > 0 and (more := self._fd.read(max(min(missing, 1 << 30), _CHUNK_BYTES))):
            parts.append(more)
            missing -= len(more)
        self._offset += self._start
        self._start = 0
        self._data = b"".join(parts)
