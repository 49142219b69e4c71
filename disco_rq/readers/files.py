"""A file as one entry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

__all__ = ["FileReader"]


@dataclass(frozen=True, slots=True)
class FileReader:
    """``func.file_reader``: the bytes of the file."""

    def __call__(self, fd: BinaryIO, size: int | None, fname: str) -> Iterator[bytes]:  # noqa: ARG002
        yield fd.read()
