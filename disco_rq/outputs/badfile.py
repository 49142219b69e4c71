"""The bad entries of one attempt, a record file beside its output: ``map-3.1.bad``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from disco_rq.errors import DataError
from disco_rq.model import BadEntry
from disco_rq.outputs.addresses import BAD_SUFFIX
from disco_rq.outputs.locator import Locator
from disco_rq.outputs.remote import open_remote
from disco_rq.records import RecordWriter, read_pairs
from disco_rq.records.taken import taken
from disco_rq.records.writer import encode

__all__ = ["ENTRY_BYTES", "BadFile", "kept_entry", "read_bad"]

ENTRY_BYTES = 64 << 10
"""What is kept of an entry."""
_BLOCK_BYTES = 256 << 10


class BadFile:
    """Writes one. The file is there with the first entry, and complete when it is closed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writer: RecordWriter | None = None
        self._rows: list[tuple[Any, ...]] = []
        self._row_bytes = 0
        self._is_closed = False

    def add(self, url: str, offset: int, number: int, entry: object, error: str, traceback: str) -> None:
        """Another entry, as it is now."""
        kept, size = kept_entry(entry)
        self._rows.append((url, offset, number, kept, error, traceback))
        self._row_bytes += size + len(error) + len(traceback) + len(url)
        if self._row_bytes > _BLOCK_BYTES:
            self._write()

    def close(self) -> bool:
        """Whether there is one. Idempotent."""
        if self._rows:
            self._write()
        if self._writer is None:
            return False
        if not self._is_closed:
            self._is_closed = True
            self._writer.close()
        return True

    def _write(self) -> None:
        if self._writer is None:
            self._writer = RecordWriter(self.path)
        self._writer.add(0, encode([None] * len(self._rows), self._rows, grouped=False))
        self._rows, self._row_bytes = [], 0


def kept_entry(entry: Any) -> tuple[Any, int]:
    """What is kept of an entry, and its size: of text and bytes the beginning, of what no record holds, or is
    too large, the beginning of its ``repr``.
    """
    if isinstance(entry, bytes | bytearray | memoryview):
        data = bytes(entry[:ENTRY_BYTES])
        return data, len(data)
    if not isinstance(entry, str):
        try:
            plain = taken(entry)
            size = len(encode([None], [plain], grouped=False).data)
            if size <= ENTRY_BYTES:
                return plain, size
            entry = repr(entry)
        except Exception:  # noqa: BLE001  a type of the user's
            entry = _shown(entry)
    text = _cut(str(entry))
    return text, len(text)


def _shown(entry: object) -> str:
    try:
        return repr(entry)
    except Exception as problem:  # noqa: BLE001  a __repr__ of the user's, or an int of very many digits
        return f"<{type(entry).__qualname__} that cannot be shown: {type(problem).__name__}>"


def _cut(text: str) -> str:
    """The first 64 KiB of a text as UTF-8, no character in two."""
    if len(text) <= ENTRY_BYTES // 4:
        return text
    try:
        data = text[:ENTRY_BYTES].encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half of a surrogate pair
        return text[: ENTRY_BYTES // 4]
    end = len(data)
    if end > ENTRY_BYTES:
        end = ENTRY_BYTES
        while end > ENTRY_BYTES - 4 and data[end] & 0xC0 == 0x80:
            end -= 1
    return data[:end].decode("utf-8", "surrogateescape")


def read_bad(locator: Locator, address: str, task: str) -> Iterator[BadEntry]:
    """The bad entries beside the output at an address, in the order of the task. ``DataError``."""
    path = locator.path(address)
    if path is not None:
        path = path.with_name(path.name + BAD_SUFFIX)
        if not path.exists():
            raise DataError("its bad entries are gone: was its job purged, or its cluster closed?", address)
    opened = nullcontext(path) if path is not None else open_remote(locator, address, suffix=BAD_SUFFIX)
    with opened as file:
        for _, row in read_pairs(file, f"{address}{BAD_SUFFIX}"):
            yield BadEntry(task, *row)
