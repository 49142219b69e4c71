"""The formats of saved results: from a task's record file to a file for others, and back to pairs.

What a format would not give back as it went in is a ``RecordTypeError`` that names the format, type and
key; ``text`` and ``csv`` alone give everything back as text.
"""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, cast

from isal import igzip

from disco_rq.errors import CorruptData
from disco_rq.records import read_pairs, read_with
from disco_rq.records.spool import private
from disco_rq.saving.csvfile import read_csv, write_csv
from disco_rq.saving.lines import read_jsonl, read_text, write_jsonl, write_text
from disco_rq.saving.parquet import read_parquet, write_parquet

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["COMPRESSIBLE", "FORMATS", "Format", "format_of"]

_BUFFER_BYTES = 256 << 10


@dataclass(frozen=True, slots=True)
class Format:
    """How pairs are written to a file, and read from one."""

    name: str
    extension: str
    put: Callable[[Path, BinaryIO], None] | None  # (record file, where to); None: the record file as it is
    read: Callable[[BinaryIO, str], Iterator[Any]]  # (file, unpacked; its address) -> pairs
    packed: str | None = None  # the suffix of its compression

    def write(self, records: Path, to: Path) -> Path:
        """Make a file of a record file; returns the one to save. Raises ``RecordTypeError``."""
        if self.put is None:
            return records
        with ExitStack() as opened:
            file: BinaryIO = opened.enter_context(open(to, "wb", _BUFFER_BYTES, opener=private))
            if self.packed is not None:
                packing = opened.enter_context(_PACKED[self.packed](file))
                file = opened.enter_context(io.BufferedWriter(packing, _BUFFER_BYTES))
            self.put(records, file)
        return to

    def compressed(self, suffix: str) -> Format:
        """The same, compressed."""
        return replace(self, name=self.name + suffix, extension=self.extension + suffix, packed=suffix)


def format_of(address: str) -> Format | None:
    """The format that the address' extension tells; how it is compressed is told by its content."""
    unpacked = re.sub(r"\.(gz|zst|bz2|xz|lz4)$", "", address)
    return _BY_EXTENSION.get(os.path.splitext(unpacked)[1])  # noqa: PTH122  any text is an address


class _ZstdFile(io.RawIOBase):
    """Compresses what is written to it; where nothing was, there is an empty frame all the same."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._compressor = zstd.ZstdCompressor(options={zstd.CompressionParameter.checksum_flag: 1})

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self._file.write(self._compressor.compress(data))
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._file.write(self._compressor.flush())
        super().close()


_igzip: Any = igzip
_PACKED: dict[str, Callable[[BinaryIO], io.RawIOBase]] = {
    ".gz": lambda file: cast("io.RawIOBase", _igzip.IGzipFile("", "wb", fileobj=file, mtime=0)),
    ".zst": _ZstdFile,
}


# -- raw: the bytes of a writer of the job's own


def _write_raw(records: Path, out: BinaryIO) -> None:
    for chunk in read_with(lambda fd, _size, _name: iter(lambda: fd.read(_BUFFER_BYTES), b""), records):
        out.write(chunk)


def _read_raw(_file: BinaryIO, name: str) -> Iterator[Any]:
    raise CorruptData(
        f"{name} holds what a writer of the job's own wrote: it takes a reader to read it", name
    )
    yield  # a generator, as the others


_FORMATS = (
    Format("msgpack", ".disco", None, read_pairs),
    Format("jsonl", ".jsonl", write_jsonl, read_jsonl),
    Format("text", ".txt", write_text, read_text),
    Format("csv", ".csv", write_csv, read_csv),
    Format("parquet", ".parquet", write_parquet, read_parquet),
    Format("raw", ".bin", _write_raw, _read_raw),
)
COMPRESSIBLE = ("jsonl", "text", "csv", "raw")
"""Those that are text, or may be; the others are compressed by themselves."""

FORMATS = {format.name: format for format in _FORMATS}
"""By name. ``raw`` is for jobs whose results have a writer of their own."""

_BY_EXTENSION = {format.extension: format for format in FORMATS.values()}

FORMATS |= {
    compressed.name: compressed
    for name in COMPRESSIBLE
    for compressed in map(FORMATS[name].compressed, _PACKED)
}
