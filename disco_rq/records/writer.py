"""Writing a record file: in one stream, block after block, complete once closed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from disco_rq.records.blocks import Block, Kind, end_block, pack_block
from disco_rq.records.digest import DIGEST_BYTES, columns_digest, pack_digest
from disco_rq.records.layout import (
    PartitionPlace,
    pack_empty_places,
    pack_footer,
    pack_header,
    pack_index,
    pack_place,
)
from disco_rq.records.spool import Spool
from disco_rq.records.typed import kinds_of, pack_columns

__all__ = ["EncodedBlock", "PackedBlocks", "RecordWriter", "encode"]


class EncodedBlock(NamedTuple):
    """A block's content, before it is numbered, compressed and checksummed."""

    kind: Kind
    size: int
    data: bytes
    digest: int = 0
    """Of its pairs as a multiset, where that is asked for."""


@dataclass(slots=True)
class PackedBlocks:
    """All blocks of one partition as they stand in a file, in pieces."""

    data: Iterable[bytes]
    nr_blocks: int
    size: int
    raw_bytes: int
    digest: int = 0


def encode(
    keys: list[Any],
    values: list[Any],
    *,
    grouped: bool,
    kinds: Set[type] | None = None,
    objects: bool = False,
    digest: bool = False,
) -> EncodedBlock:
    """A block of pairs (``grouped``: of groups; ``kinds``: types among which those of the values are, if the
    caller knows them). Raises ``RecordTypeError``; ``objects``: see ``typed``.
    """
    count = sum(map(len, values)) if grouped else len(keys)
    kinds = kinds or kinds_of(values, grouped=grouped)
    data = pack_columns(keys, values, grouped=grouped, objects=objects, kinds=kinds)
    told = columns_digest(keys, values, grouped=grouped, kinds=kinds) if digest else 0
    return EncodedBlock(Kind.GROUPS if grouped else Kind.PAIRS, count, data, told)


class RecordWriter:
    """Writes a record file, partition after partition, in one stream; complete once closed.

    ``bytes_out`` and ``size`` (pairs, or bytes when opaque) say what it has got so far. What needs no more
    than ``memory_bytes`` is not written to the file: it is ``content()``.
    """

    def __init__(self, path: Path, nr_partitions: int = 1, memory_bytes: int = 0) -> None:
        self._nr_partitions = max(nr_partitions, 1)
        self._file = Spool(path, memory_bytes)
        self._nr_ended = 0  # partitions
        self._places = bytearray()
        self._filled: dict[int, int] = {}  # of those that hold something, their bytes in the file
        self._next_number = 0
        self._partition_start = self.bytes_out = 0
        self._partition_size = self._partition_raw = self.size = 0
        self._digests: defaultdict[int, int] = defaultdict(int)
        self._write(pack_header(self._nr_partitions))
        self._partition_start = self.bytes_out

    def __enter__(self) -> RecordWriter:
        return self

    def __exit__(self, exc_type: type[BaseException] | None, *_: object) -> None:
        if exc_type is None:
            self.close()
        else:
            self._file.close()

    def add(self, partition: int, block: EncodedBlock) -> None:
        """Append a block. Partitions come in ascending order; one may be left out and is then empty."""
        self._advance(partition)
        header, payload = pack_block(block.kind, partition, self._next_number, block.size, block.data)
        self._write(header)
        self._write(payload)
        self._digests[partition] += block.digest
        self._grown(1, block.size, len(block.data))

    def copy(self, partition: int, block: Block) -> None:
        """Append a block that was read from another file. Of a map output, which has digests, none is."""
        self._advance(partition)
        number = self._next_number
        for part in pack_block(block.kind, partition, number, block.size, block.data, block.packed):
            self._write(part)
        self._grown(1, block.size, len(block.data))

    def add_packed(self, partition: int, packed: PackedBlocks) -> None:
        """Append all blocks of a partition, packed before by ``pack_block`` and numbered from 0."""
        self._advance(partition)
        for data in packed.data:
            self._write(data)
        self._digests[partition] += packed.digest
        self._grown(packed.nr_blocks, packed.size, packed.raw_bytes)

    def close(self) -> None:
        """End the last partition, write index and footer. The file is complete after it."""
        self._advance(self._nr_partitions)
        index_offset = self.bytes_out
        for part in pack_index(bytes(self._places)):
            self._write(part)
        self._write(pack_footer(index_offset))
        self._file.close()

    def content(self) -> bytes | None:
        """The complete file, if it stayed in memory."""
        return self._file.content()

    def partition_bytes(self) -> dict[int, int]:
        """Bytes in the file of each partition that holds something; of a writer that is closed."""
        return dict(self._filled)

    def digests(self) -> bytes:
        """Of what it has got of each partition, one after the other, where the blocks had digests."""
        packed = bytearray(DIGEST_BYTES * self._nr_partitions)
        for partition, digest in self._digests.items():
            packed[DIGEST_BYTES * partition : DIGEST_BYTES * (partition + 1)] = pack_digest(digest)
        return bytes(packed)

    def _advance(self, partition: int) -> None:
        if partition < self._nr_ended or partition > self._nr_partitions:
            raise ValueError(f"partition {partition} comes after {self._nr_ended} of {self._nr_partitions}")
        if partition > self._nr_ended and self._next_number:
            self._end()
        if empty := range(self._nr_ended, partition):
            self._places += pack_empty_places(self.bytes_out, len(empty))
            self._write(b"".join(map(end_block, empty)))
            self._nr_ended, self._partition_start = partition, self.bytes_out

    def _end(self) -> None:
        """The partition, which has blocks, is complete."""
        for part in pack_block(Kind.END, self._nr_ended, self._next_number, 0, b""):
            self._write(part)
        start, self._partition_start = self._partition_start, self.bytes_out
        length = self.bytes_out - start
        if self._partition_size:
            self._filled[self._nr_ended] = length
        self._places += pack_place(PartitionPlace(start, length, self._partition_size, self._partition_raw))
        self._nr_ended += 1
        self._next_number = self._partition_size = self._partition_raw = 0

    def _grown(self, nr_blocks: int, size: int, raw_bytes: int) -> None:
        self._next_number += nr_blocks
        self._partition_size += size
        self._partition_raw += raw_bytes
        self.size += size

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self.bytes_out += len(data)
