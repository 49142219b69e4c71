"""Record files: typed pairs, or a user's bytes, partition after partition. Reading them, and what is read.

``layout`` says how a file looks, ``writer`` writes it. What is truncated or altered raises
``CorruptData``.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

from disco_rq.errors import CorruptData, TaskError
from disco_rq.records.blocks import Block, Kind, Readable, read_block, read_blocks
from disco_rq.records.bundle import open_output
from disco_rq.records.layout import (
    MAGIC,
    Index,
    PartitionPlace,
    parse_index,
    read_file_index,
    read_footer,
    read_header,
    read_place,
)
from disco_rq.records.opaque import OpaqueStream
from disco_rq.records.typed import unpack_columns

__all__ = [
    "PairBatch",
    "FileSource",
    "Source",
    "all_blocks",
    "batches",
    "content_blocks",
    "is_record_file",
    "nr_partitions_of",
    "read_index",
    "read_pairs",
    "read_with",
]

_BUFFER_BYTES = 256 << 10


class PairBatch(NamedTuple):
    """Pairs as columns: ``values`` has one value for each key or, ``grouped``, a list of them."""

    keys: list[Any]
    values: list[Any]
    grouped: bool

    def pairs(self) -> Iterator[tuple[Any, Any]]:
        """One by one."""
        if not self.grouped:
            return zip(self.keys, self.values, strict=True)
        groups = zip(self.keys, self.values, strict=True)
        return ((key, value) for key, values in groups for value in values)

    kinds: Set[type] | None = None
    """Types among which those of the values are, where that is known."""


class Source(Protocol):
    """One map output, as a reduce reads it."""

    @property
    def name(self) -> str:
        """Its address, for errors."""

    def blocks(self, partition: int) -> Iterator[Block]:
        """The blocks of one partition. Raises ``CorruptData`` with ``url=name``."""


def batches(blocks: Iterable[Block], name: str, *, objects: bool = False) -> Iterator[PairBatch]:
    """Typed blocks as columns. ``TaskError`` if a user's writer wrote them; ``objects``: see ``typed``."""
    for block in blocks:
        if block.kind == Kind.OPAQUE:
            raise TaskError(f"{name} holds bytes and no typed pairs: it takes a reader to read it")
        yield _decoded(block, name, objects=objects)


def _decoded(block: Block, name: str, *, objects: bool) -> PairBatch:
    grouped = block.kind == Kind.GROUPS
    try:
        keys, values = unpack_columns(block.data, grouped=grouped, objects=objects)
    except (ValueError, TypeError, KeyError) as error:
        raise CorruptData(f"{name} holds a block that this version cannot read: {error}", name) from error
    return PairBatch(keys, values, grouped)


@dataclass(frozen=True, slots=True)
class FileSource:
    """A record file on this host."""

    path: Path
    name: str

    def blocks(self, partition: int) -> Iterator[Block]:
        """The blocks of one partition, streamed. Raises ``CorruptData`` also when the file is missing."""
        with _opened(self.path, self.name) as file, _readable(self.name):
            file.seek(read_place(file, partition, self.name).offset)
            yield from read_blocks(file, partition, self.name)


def content_blocks(content: bytes, partition: int, name: str) -> Iterator[Block]:
    """The same of a record file in memory."""
    file = io.BytesIO(content)
    file.seek(read_place(file, partition, name).offset)
    yield from read_blocks(file, partition, name)


def read_index(path: Path, name: str | None = None) -> Index:
    """The index of a record file: where a data server finds each partition. Raises ``CorruptData``."""
    name = name or str(path)
    with _opened(path, name) as file:
        return read_file_index(file, name)


def is_record_file(head: bytes) -> bool:
    """Whether a file that begins so is a record file, or was meant to be one."""
    return head.startswith(MAGIC) and head[len(MAGIC) + 1 :][:1] in (b"", b"\0")  # text may begin so, too


def nr_partitions_of(file: Readable, name: str) -> int:
    """How many partitions a record file has, by its first bytes. Raises ``CorruptData``."""
    return read_header(file, name)


def read_pairs(
    file: str | os.PathLike[str] | BinaryIO, name: str | None = None, *, most_bytes: int | None = None
) -> Iterator[tuple[Any, Any]]:
    """All pairs of a record file, partition after partition, in bounded memory.

    ``file`` is a path or anything with ``read``, seekable or not; also the ``fd`` that a reader was given.
    Raises ``CorruptData`` when it is not whole and unaltered, ``TaskError`` when a ``reduce_writer`` or
    ``map_writer`` wrote it (see ``read_with``), and ``DataError`` when pairs that lie together take more than
    ``most_bytes``.
    """
    name = _name_of(file, name)
    stream = getattr(file, "raw", None)
    blocks = stream.blocks() if isinstance(stream, OpaqueStream) else all_blocks(file, name, most_bytes)
    for batch in batches(blocks, name):
        yield from batch.pairs()


def read_with(
    reader: Callable[..., Iterable[Any]], file: str | os.PathLike[str] | BinaryIO, name: str | None = None
) -> Iterator[Any]:
    """What ``reader(fd, size, fname)`` yields from a file that a user's writer wrote. ``size`` is None."""
    name = _name_of(file, name)
    stream = OpaqueStream(all_blocks(file, name), name)
    yield from reader(io.BufferedReader(stream, _BUFFER_BYTES), None, name)


def _name_of(file: str | os.PathLike[str] | BinaryIO, name: str | None) -> str:
    if name is not None:
        return name
    return os.fspath(file) if isinstance(file, str | os.PathLike) else str(getattr(file, "name", "a stream"))


def all_blocks(
    file: str | os.PathLike[str] | BinaryIO, name: str, most_bytes: int | None = None
) -> Iterator[Block]:
    """The blocks of a whole record file, partition after partition. Raises ``CorruptData``."""
    if isinstance(file, str | os.PathLike):
        with _opened(Path(file), name) as opened:
            yield from all_blocks(opened, name, most_bytes)
        return
    stream = _Exactly(file)
    places: list[PartitionPlace] = []
    for partition in range(read_header(stream, name)):
        start, count, raw_bytes = stream.position, 0, 0
        for block in read_blocks(stream, partition, name, most_bytes):
            count += block.size
            raw_bytes += len(block.data)
            yield block
        places.append(PartitionPlace(start, stream.position - start, count, raw_bytes))
    index_offset = stream.position
    index = parse_index(read_block(stream, name), name)
    if index != tuple(places):
        raise CorruptData(f"{name} is altered: its index is of another file", name)
    if read_footer(stream, name) != index_offset or stream.read(1):
        raise CorruptData(f"{name} is altered: it does not end with its footer", name)


class _Exactly:
    """``read(n)`` gives n bytes, fewer only at the end, whatever the stream (sockets give what they have)."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self.position = 0

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        if len(data) < size and data:
            parts = [data]
            missing = size - len(data)
            while missing and (more := self._stream.read(missing)):
                parts.append(more)
                missing -= len(more)
            data = b"".join(parts)
        self.position += len(data)
        return data


@contextmanager
def _readable(name: str) -> Iterator[None]:
    """A disk that cannot give the bytes of a file has lost them, like one that gives others."""
    try:
        yield
    except OSError as error:
        raise CorruptData(f"cannot read {name}: {error.strerror}", name) from error


@contextmanager
def _opened(path: Path, name: str) -> Iterator[BinaryIO]:
    try:
        file = open_output(open(path, "rb", buffering=_BUFFER_BYTES), path.name)  # noqa: SIM115
    except OSError as error:
        raise CorruptData(f"cannot open {name}: {error.strerror}", name) from error
    with file:
        yield file
