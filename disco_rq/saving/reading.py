"""Saved results, read where the client is."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO

from disco_rq.errors import DataError
from disco_rq.inputs import open_input
from disco_rq.inputs.addresses import scheme_of
from disco_rq.model import Input
from disco_rq.readers import is_parquet
from disco_rq.records import OpaqueStream, is_record_file, read_pairs
from disco_rq.redact import redact
from disco_rq.saving.formats import FORMATS, Format, format_of

__all__ = ["is_saved", "read_saved"]

_BUFFER_BYTES = 256 << 10
_TOLD_BYTES = 4096
_SHOWN_BYTES = 20
_LINES = {  # what a file without an extension of ours must begin with
    "jsonl": re.compile(rb'\s*\{\s*"key"\s*:'),
    "csv": re.compile(rb"key,\S"),
    "text": re.compile(rb"[^\n]*\t"),
}
_CONTROL = frozenset(range(32)) - frozenset(b"\t\n\r")


def is_saved(address: str) -> bool:
    """Whether it is the address of a saved result, and not of a node's file."""
    return scheme_of(address) != "disco"


def read_saved(
    address: str, reader: Callable[..., Iterable[Any]] | None = None, *, most_bytes: int | None = None
) -> Iterator[Any]:
    """The pairs of a saved result, in bounded memory, or what ``reader(fd, size, name)`` makes of its bytes.

    Told by its first bytes, then by its name. Raises ``DataError`` naming the address: it cannot be read,
    holds nothing that a job saves, or more than ``most_bytes`` would have to be read.
    """
    name = redact(address)
    with open_input(Input(address)) as (fd, size):
        if reader is not None:
            yield from reader(fd, size, address)
            return
        format = _format_in(fd, address, name)
        if format is FORMATS["msgpack"]:
            yield from read_pairs(fd, name, most_bytes=most_bytes)
        elif most_bytes is None:
            yield from format.read(fd, name)
        else:
            shown = io.BufferedReader(_AtMost(fd, most_bytes, name), _BUFFER_BYTES)
            yield from format.read(shown, name)


def _format_in(fd: io.BufferedReader[Any], address: str, name: str) -> Format:
    """The format of an open file: what cannot be mistaken by its content, lines by its name first."""
    if isinstance(fd.raw, OpaqueStream):
        return FORMATS["msgpack"]
    head = fd.peek(_TOLD_BYTES)[:_TOLD_BYTES]
    if is_record_file(head):  # which somebody has compressed
        return FORMATS["msgpack"]
    if is_parquet(head):
        return FORMATS["parquet"]
    named = format_of(address)
    if named is not None:
        return named
    found = next((format for format, begins in _LINES.items() if begins.match(head)), None)
    if found is None or not _CONTROL.isdisjoint(head):
        raise DataError(
            "it holds nothing that a job saves (typed records, JSON lines, text, CSV, Parquet), "
            f"but begins with {head[:_SHOWN_BYTES]!r}",
            url=name,
        )
    return FORMATS[found]


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
