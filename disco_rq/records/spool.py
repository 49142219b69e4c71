"""Where a record file is written to: a file, or memory as long as it is small."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

__all__ = ["Spool", "private"]

_BUFFER_BYTES = 256 << 10


def private(path: str, flags: int) -> int:
    """For ``open``: a file of ours is ours to read and write, whatever umask a task has set."""
    fd = os.open(path, flags, 0o600)
    os.fchmod(fd, 0o600)
    return fd


class Spool:
    """Takes bytes in a stream. The file is made when there are more than ``memory_bytes`` of them."""

    def __init__(self, path: Path, memory_bytes: int) -> None:
        self._path = path
        self._memory_bytes = memory_bytes
        self._pieces: list[bytes] = []
        self._file: BinaryIO | None = None
        self.size = 0
        if not memory_bytes:
            self._spill()

    def write(self, data: bytes) -> None:
        self.size += len(data)
        if self._file is not None:
            self._file.write(data)
            return
        self._pieces.append(data)
        if self.size > self._memory_bytes:
            self._spill()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def content(self) -> bytes | None:
        """All of it, if no file was made."""
        return b"".join(self._pieces) if self._file is None else None

    def _spill(self) -> None:
        self._file = open(self._path, "wb", buffering=_BUFFER_BYTES, opener=private)  # noqa: SIM115 - closed by close()
        self._file.writelines(self._pieces)
        self._pieces.clear()
