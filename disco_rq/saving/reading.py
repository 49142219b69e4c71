"""Saved results, read where the client is."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO

from disco_rq.errors import DataError
from disco_rq.inputs import open_input
from disco_rq.inputs.addresses import scheme_of
from disco_rq.model import Input
from disco_rq.records import read_pairs
from disco_rq.redact import redact
from disco_rq.saving.formats import FORMATS, format_of

__all__ = ["is_saved", "read_saved"]

_BUFFER_BYTES = 256 << 10


def is_saved(address: str) -> bool:
    """Whether it is the address of a saved result, and not of a node's file."""
    return scheme_of(address) != "disco"


def read_saved(
    address: str, reader: Callable[..., Iterable[Any]] | None = None, *, most_bytes: int | None = None
) -> Iterator[Any]:
    """The pairs of a saved result, in bounded memory, or what ``reader(fd, size, name)`` makes of its bytes.

    Raises ``DataError`` naming the address: it cannot be read, its extension tells no format, or more than
    ``most_bytes`` would have to be read.
    """
    format = format_of(address)
    if reader is None and format is None:
        raise DataError("not the address of a task output, nor of a saved result", url=redact(address))
    with open_input(Input(address)) as (fd, size):
        if reader is not None:
            yield from reader(fd, size, address)
        elif format is not None and most_bytes is None:
            yield from format.read(fd, redact(address))
        elif format is FORMATS["msgpack"]:
            yield from read_pairs(fd, redact(address), most_bytes=most_bytes)
        elif format is not None:
            shown = io.BufferedReader(_AtMost(fd, most_bytes or 0, redact(address)), _BUFFER_BYTES)
            yield from format.read(shown, redact(address))


class _AtMost(io.RawIOBase):
    """A file of which so many bytes may be read."""

    def __init__(self, file: BinaryIO, most_bytes: int, name: str) -> None:
        self._file = file
        self._left = most_bytes
        self._name = name

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._file.seekable()

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self._file.seek(offset, whence)

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self._left <= 0:
            raise DataError("more of it would have to be read than is shown", self._name)
        piece = self._file.read(min(len(buffer), self._left))
        buffer[: len(piece)] = piece
        self._left -= len(piece)
        return len(piece)
