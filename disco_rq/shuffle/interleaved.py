"""Blocks of all partitions as they come, held packed until the file is written in order."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO

from disco_rq.records.blocks import pack_block
from disco_rq.records.spool import private
from disco_rq.records.writer import EncodedBlock, PackedBlocks, RecordWriter

__all__ = ["Interleaved"]

_COPY_BYTES = 1 << 20


@dataclass(slots=True)
class _Held:
    """What there is of one partition: pieces of the spill file first, then blocks in memory."""

    spilled: list[tuple[int, int]] = field(default_factory=list)  # offset, length
    blocks: list[bytes] = field(default_factory=list)
    nr_blocks: int = 0
    size: int = 0
    raw_bytes: int = 0
    digest: int = 0


class Interleaved:
    """Collects blocks in any order of partitions, holding at most about ``limit_bytes`` of them in memory."""

    def __init__(self, scratch: Path, limit_bytes: int) -> None:
        self._scratch = scratch
        self._limit_bytes = limit_bytes
        self._held: defaultdict[int, _Held] = defaultdict(_Held)
        self._bytes = 0

    @property
    def _path(self) -> Path:
        return self._scratch / "interleaved"

    def add(self, partition: int, block: EncodedBlock) -> None:
        """Append a block to a partition."""
        held = self._held[partition]
        header, payload = pack_block(block.kind, partition, held.nr_blocks, block.size, block.data)
        held.blocks += header, payload
        held.nr_blocks += 1
        held.size += block.size
        held.raw_bytes += len(block.data)
        held.digest += block.digest
        self._bytes += len(header) + len(payload)
        if self._bytes > self._limit_bytes:
            self._spill()

    def add_digest(self, partition: int, digest: int) -> None:
        """Of what a partition has, where its blocks have none."""
        self._held[partition].digest += digest

    def finish(self, writer: RecordWriter) -> None:
        """Write all partitions in their order."""
        for partition, held in sorted(self._held.items(), key=itemgetter(0)):
            if held.nr_blocks:
                data = self._data(held)
                packed = PackedBlocks(data, held.nr_blocks, held.size, held.raw_bytes, held.digest)
                writer.add_packed(partition, packed)

    def _spill(self) -> None:
        with open(self._path, "ab", opener=private) as file:
            file.seek(0, os.SEEK_END)
            for held in self._held.values():
                if held.blocks:
                    offset = file.tell()
                    file.writelines(held.blocks)
                    held.spilled.append((offset, file.tell() - offset))
                    held.blocks = []
        self._bytes = 0

    def _data(self, held: _Held) -> Iterator[bytes]:
        if held.spilled:
            with open(self._path, "rb") as file:
                for offset, length in held.spilled:
                    yield from _pieces(file, offset, length)
        yield from held.blocks
        held.blocks = []


def _pieces(file: BinaryIO, offset: int, length: int) -> Iterator[bytes]:
    file.seek(offset)
    while length:
        data = file.read(min(length, _COPY_BYTES))
        if not data:
            raise OSError(f"{file.name} was cut while in use")
        length -= len(data)
        yield data
