"""Compressed inputs are read through: all streams, members and frames of a file, or an error.

Every library here decodes one stream and says where it ended. What follows is ours: padding of zeros is
passed over, another stream of the same kind is read, and anything else is an error, never the end.
"""

from __future__ import annotations

import bz2
import io
import lzma
import struct
import sys
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, cast

import lz4.frame
from isal import igzip_lib

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["CODECS", "Decoded", "skippable_bytes"]

_CHUNK_BYTES = 64 << 10
_SKIPPABLE = struct.Struct("<II")
"""A frame with no content, of zstd and lz4 alike: magic, number of bytes that follow."""


class _Stream(Protocol):
    """Decodes one stream, as the standard library's decompressors do."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes | None: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class Codec(NamedTuple):
    """A kind of compression."""

    magic: bytes  # every stream begins so
    stream: Callable[[], Any]
    has_skippable: bool = False


CODECS = {
    "gzip": Codec(b"\x1f\x8b", lambda: igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)),
    "bz2": Codec(b"BZh", bz2.BZ2Decompressor),
    "xz": Codec(b"\xfd7zXZ\0", lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ)),
    "zstd": Codec(
        b"\x28\xb5\x2f\xfd",
        lambda: zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: 31}),
        has_skippable=True,
    ),
    "lz4": Codec(b"\x04\x22\x4d\x18", lz4.frame.LZ4FrameDecompressor, has_skippable=True),
}


def skippable_bytes(head: bytes) -> int:
    """The length of the frame without content that ``head`` begins with; 0 if it does not."""
    if len(head) < _SKIPPABLE.size:
        return 0
    magic, size = _SKIPPABLE.unpack_from(head)
    return _SKIPPABLE.size + int(size) if magic >> 4 == 0x184D2A5 else 0


class Decoded(io.RawIOBase):
    """The content of ``source``, in bounded memory.

    Raises ``EOFError`` for what is cut off, ``ValueError`` for what follows a stream and is none; other
    damage raises what the library does.
    """

    def __init__(self, source: io.BufferedIOBase, codec: str) -> None:
        """``ValueError`` for a ``codec`` that is not known."""
        if codec not in CODECS:
            raise ValueError(f"no such compression: {codec}")
        self._source = source
        self._name = codec
        self._codec = CODECS[codec]
        self._stream: _Stream | None = None
        self._ahead = b""  # read from the source, for no stream yet
        self._nr_read = 0
        self._nr_streams = self._nr_filled = 0  # the latter without frames to be skipped

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while len(buffer):
            if self._stream is None:
                if not self._find_stream():
                    return 0
                self._stream = cast("_Stream", self._codec.stream())
            data = b""
            if self._stream.needs_input:
                data, self._ahead = self._ahead or self._read(), b""
                if not data:
                    raise EOFError(f"the {self._name} data is cut off")
            plain = self._stream.decompress(data, len(buffer))
            if self._stream.eof:
                self._ahead, self._stream = self._stream.unused_data or b"", None
            if plain:
                buffer[: len(plain)] = plain
                return len(plain)
        return 0

    def _find_stream(self) -> bool:
        """Go to the next stream. False: the file has ended, as it should."""
        while True:
            if self._nr_streams:
                self._pass_zeros()
            if not self._has(len(self._codec.magic)) and not self._ahead and self._nr_streams:
                return False
            if self._codec.has_skippable and self._has(_SKIPPABLE.size) and skippable_bytes(self._ahead):
                self._skip(skippable_bytes(self._ahead))
            elif self._ahead.startswith(self._codec.magic):
                self._nr_streams += 1
                self._nr_filled += 1
                return True
            elif not self._nr_filled and self._nr_streams and (other := self._other_with_skippable()):
                self._name, self._codec = other, CODECS[other]  # its frames without content told no more
            elif self._nr_streams:
                at = self._nr_read - len(self._ahead)
                raise ValueError(f"what follows at byte {at} is no {self._name} data: the file is damaged")
            else:
                what = "does not begin as such" if self._ahead else "is empty"
                raise ValueError(f"it should be {self._name} data, and {what}")

    def _other_with_skippable(self) -> str:
        """Which other kind begins with such frames, and goes on as this file does."""
        kinds = (name for name, codec in CODECS.items() if codec.has_skippable)
        return next((name for name in kinds if self._ahead.startswith(CODECS[name].magic)), "")

    def _pass_zeros(self) -> None:
        while True:
            self._ahead = self._ahead.lstrip(b"\0")
            if self._ahead:
                return
            self._ahead = self._read()
            if not self._ahead:
                return

    def _skip(self, size: int) -> None:
        """Pass over a frame without content. A file may have nothing else."""
        self._nr_streams += 1
        while size > len(self._ahead):
            size -= len(self._ahead)
            self._ahead = self._read()
            if not self._ahead:
                raise EOFError(f"the {self._name} data is cut off")
        self._ahead = self._ahead[size:]

    def _has(self, size: int) -> bool:
        """Whether so many bytes are there, read ahead."""
        while len(self._ahead) < size:
            more = self._read()
            if not more:
                return False
            self._ahead += more
        return True

    def _read(self) -> bytes:
        data = self._source.read(_CHUNK_BYTES)
        self._nr_read += len(data)
        return data
