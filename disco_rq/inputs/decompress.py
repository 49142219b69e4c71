"""Compressed inputs are read through: which codec an address asks for, and the stream behind it."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from pathlib import PurePosixPath
from typing import Any, cast

import lz4.frame
import zstandard

from disco_rq.inputs.addresses import file_name

__all__ = ["codec_of", "decompressed"]

_BY_SUFFIX = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz", ".zst": "zstd", ".lz4": "lz4"}
# zstd can grow a chunk a thousandfold and more: a small one keeps the memory small.
_ZSTD_CHUNK_BYTES = 16 << 10


def codec_of(url: str) -> str | None:
    """How the file is compressed, by the suffix of its name; None: not at all."""
    return _BY_SUFFIX.get(PurePosixPath(file_name(url)).suffix.lower())


def decompressed(file: io.BufferedReader[Any], codec: str) -> io.RawIOBase | io.BufferedIOBase:
    """The content of ``file``, frame after frame. A frame that is cut off raises ``EOFError``."""
    match codec:
        case "gzip":
            return gzip.GzipFile(fileobj=file, mode="rb")
        case "bz2":
            return bz2.BZ2File(file)
        case "xz":
            return lzma.LZMAFile(file)
        case "zstd":
            return _ZstdReader(file)
        case "lz4":
            return cast("io.BufferedIOBase", lz4.frame.LZ4FrameFile(file))
        case _:
            raise ValueError(f"no such compression: {codec}")


class _ZstdReader(io.RawIOBase):
    """zstandard's own stream reader takes a frame that is cut off for a complete one."""

    def __init__(self, source: io.BufferedIOBase) -> None:
        self._source = source
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._compressed = b""  # read from the source, not looked at
        self._plain = memoryview(b"")  # decompressed, not given out

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._plain:
            if not self._compressed:
                self._compressed = self._source.read(_ZSTD_CHUNK_BYTES)
            if not self._compressed:
                if self._frame is not None:
                    raise EOFError("the zstd file is cut off")
                return 0
            if self._frame is None:
                self._frame = zstandard.ZstdDecompressor().decompressobj()
            self._plain = memoryview(self._frame.decompress(self._compressed))
            self._compressed = self._frame.unused_data if self._frame.eof else b""
            if self._frame.eof:
                self._frame = None
        size = min(len(buffer), len(self._plain))
        buffer[:size] = self._plain[:size]
        self._plain = self._plain[size:]
        return size
