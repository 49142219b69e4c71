"""Blocks: framed, compressed, checksummed pieces of a record file, readable from any stream of bytes.

A partition is a row of blocks, numbered from 0, that ends with an END block: whoever reads a stream knows
whether it came whole, without knowing its length before.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from functools import cache
from typing import NamedTuple, Protocol

import lz4.block
from xxhash import xxh3_64_intdigest, xxh32_intdigest

from disco_rq.errors import CorruptData, DataError, RecordTypeError

__all__ = [
    "HEADER_BYTES",
    "Block",
    "Kind",
    "Packed",
    "Readable",
    "end_block",
    "pack_block",
    "read_block",
    "read_blocks",
]

_MAGIC = b"DRqB"
_FIELDS = struct.Struct("<4sBBIIIIIQ")  # magic, kind, codec, partition, number, size, raw, packed, checksum
_CHECK = struct.Struct("<I")  # of the fields before it: a wrong length is never believed
HEADER_BYTES = _FIELDS.size + _CHECK.size
_RAW, _LZ4 = 0, 1
_SMALL_BYTES = 64  # compressing less gains nothing
_LZ4_MAX_BYTES = 0x7E000000
_MAX_BYTES = 0xFFFFFFFF


class Kind(IntEnum):
    PAIRS = 1
    """Two columns, keys and values."""
    GROUPS = 2
    """Two columns, keys and lists of values."""
    OPAQUE = 3
    """Bytes that a user's writer wrote, cut anywhere."""
    END = 4
    """The last block of a partition."""
    INDEX = 5
    """Where each partition of a file is."""


class Packed(NamedTuple):
    """What a block's data is in a file: how it is compressed, and that."""

    codec: int
    payload: bytes


class Block(NamedTuple):
    """One block, decompressed. ``size``: its pairs, or its bytes when opaque."""

    kind: Kind
    partition: int
    number: int
    size: int
    data: bytes
    packed: Packed | None = None
    """As it was read, to be copied."""


class Readable(Protocol):
    """What blocks are read from: ``read(n)`` gives n bytes, fewer only at the end."""

    def read(self, size: int, /) -> bytes: ...


def pack_block(
    kind: Kind, partition: int, number: int, size: int, data: bytes, packed: Packed | None = None
) -> tuple[bytes, bytes]:
    """Header and payload, to be written one after the other. ``packed``: of the data, if it was read so."""
    codec, payload = packed or _compressed(data, size)
    fields = _FIELDS.pack(
        _MAGIC, kind, codec, partition, number, size, len(data), len(payload), xxh3_64_intdigest(payload)
    )
    return fields + _CHECK.pack(xxh32_intdigest(fields)), payload


@cache
def end_block(partition: int) -> bytes:
    """All that there is of a partition that is empty. Files of hundreds of partitions are mostly this."""
    return b"".join(pack_block(Kind.END, partition, 0, 0, b""))


def _compressed(data: bytes, size: int) -> Packed:
    if len(data) > _MAX_BYTES or size > _MAX_BYTES:
        raise RecordTypeError(f"a record of {len(data)} bytes is larger than the 4 GiB that a block holds")
    if _SMALL_BYTES < len(data) <= _LZ4_MAX_BYTES:
        payload = lz4.block.compress(data, store_size=False)
        if len(payload) < len(data):
            return Packed(_LZ4, payload)
    return Packed(_RAW, data)


def read_block(stream: Readable, name: str, most_bytes: int | None = None) -> Block:
    """The next block. Raises ``CorruptData`` naming ``name`` if it is not whole and unaltered, and
    ``DataError`` if it takes more than ``most_bytes``.
    """
    header = stream.read(HEADER_BYTES)
    if len(header) < HEADER_BYTES:
        raise CorruptData(f"{name} is truncated: it ends within a block's header", name)
    fields = header[: _FIELDS.size]
    (check,) = _CHECK.unpack_from(header, _FIELDS.size)
    magic, kind, codec, partition, number, size, raw, packed, checksum = _FIELDS.unpack(fields)
    if magic != _MAGIC or xxh32_intdigest(fields) != check:
        raise CorruptData(f"{name} is altered: a block's header has a wrong checksum", name)
    if most_bytes is not None and max(raw, packed) > most_bytes:
        raise DataError(f"its next records take {max(raw, packed):,} bytes together, which is too many", name)
    payload = stream.read(packed)
    if len(payload) < packed:
        raise CorruptData(f"{name} is truncated: it ends within a block", name)
    if xxh3_64_intdigest(payload) != checksum:
        raise CorruptData(f"{name} is altered: a block has a wrong checksum", name)
    data = lz4.block.decompress(payload, uncompressed_size=raw) if codec == _LZ4 else payload
    return Block(Kind(kind), partition, number, size, data, Packed(codec, payload))


def read_blocks(
    stream: Readable, partition: int, name: str, most_bytes: int | None = None
) -> Iterator[Block]:
    """The blocks of one partition, up to its end, which is checked and left out; none may be larger than
    ``most_bytes``.

    ``stream`` starts at the partition's first block and may be anything that reads, such as an HTTP body.
    Raises ``CorruptData`` if a block is truncated, altered, missing, or of another partition.
    """
    number = 0
    while True:
        block = read_block(stream, name, most_bytes)
        if (block.partition, block.number) != (partition, number) or block.kind == Kind.INDEX:
            raise CorruptData(
                f"{name} is altered: block {number} of partition {partition} expected, "
                f"{block.number} of {block.partition} found",
                name,
            )
        if block.kind == Kind.END:
            return
        yield block
        number += 1
