"""How a record file is laid out: header, blocks partition after partition, index, footer.

    header   magic, version, number of partitions, checksum
    blocks   of partition 0, its END block, of partition 1, …
    INDEX    a block: for each partition offset, length, pairs, and bytes before compression
    footer   offset of the INDEX block, magic, checksum

Every byte is under a checksum: what is truncated or altered raises ``CorruptData`` naming the file.
"""

from __future__ import annotations

import os
import struct
from typing import BinaryIO, NamedTuple

from xxhash import xxh32_intdigest

from disco_rq.errors import CorruptData
from disco_rq.records.blocks import HEADER_BYTES, Block, Kind, Readable, pack_block, read_block

__all__ = [
    "MAGIC",
    "Index",
    "PartitionPlace",
    "pack_empty_places",
    "pack_footer",
    "pack_header",
    "pack_index",
    "pack_place",
    "parse_index",
    "read_file_index",
    "read_footer",
    "read_header",
    "read_place",
]

VERSION = 1
_HEADER = struct.Struct("<8sHxxI")
_FOOTER = struct.Struct("<Q8s")
_CHECK = struct.Struct("<I")
_PLACE = struct.Struct("<QQQQ")
MAGIC = b"disco-rq"
_END_MAGIC = b"qr-ocsid"
_HEADER_BYTES = _HEADER.size + _CHECK.size
_FOOTER_BYTES = _FOOTER.size + _CHECK.size


class PartitionPlace(NamedTuple):
    """Where a partition's blocks are in a file (``length`` with its END block), and what they hold."""

    offset: int
    length: int
    size: int  # pairs, or bytes when opaque
    raw_bytes: int  # before compression


Index = tuple[PartitionPlace, ...]


def pack_header(nr_partitions: int) -> bytes:
    header = _HEADER.pack(MAGIC, VERSION, nr_partitions)
    return header + _CHECK.pack(xxh32_intdigest(header))


def pack_place(place: PartitionPlace) -> bytes:
    return _PLACE.pack(*place)


def pack_empty_places(offset: int, number: int) -> bytes:
    """The places of so many partitions, one after the other from there, that are empty."""
    fields = [0] * (4 * number)
    fields[::4] = range(offset, offset + number * HEADER_BYTES, HEADER_BYTES)
    fields[1::4] = [HEADER_BYTES] * number
    return struct.pack(f"<{4 * number}Q", *fields)


def pack_index(places: bytes) -> tuple[bytes, bytes]:
    """The INDEX block of packed places."""
    number = len(places) // _PLACE.size
    return pack_block(Kind.INDEX, number, 0, number, places)


def pack_footer(index_offset: int) -> bytes:
    footer = _FOOTER.pack(index_offset, _END_MAGIC)
    return footer + _CHECK.pack(xxh32_intdigest(footer))


def read_header(stream: Readable, name: str) -> int:
    """The number of partitions."""
    header = stream.read(_HEADER_BYTES)
    if header[: len(MAGIC)] != MAGIC[: len(header)]:
        raise CorruptData(f"{name} is no record file of disco-rq", name)
    if len(header) < _HEADER_BYTES:
        raise CorruptData(f"{name} is truncated: no whole header", name)
    _, version, nr_partitions = _HEADER.unpack_from(header)
    if _CHECK.unpack_from(header, _HEADER.size) != (xxh32_intdigest(header[: _HEADER.size]),):
        raise CorruptData(f"{name} is altered: its header has a wrong checksum", name)
    if version != VERSION:
        raise CorruptData(f"{name} has record format {version}, this disco-rq reads format {VERSION}", name)
    return int(nr_partitions)


def read_footer(stream: Readable, name: str) -> int:
    """The offset of the INDEX block."""
    footer = stream.read(_FOOTER_BYTES)
    if len(footer) < _FOOTER_BYTES:
        raise CorruptData(f"{name} is truncated: no whole footer", name)
    offset, magic = _FOOTER.unpack_from(footer)
    if magic != _END_MAGIC or _CHECK.unpack_from(footer, _FOOTER.size) != (
        xxh32_intdigest(footer[: _FOOTER.size]),
    ):
        raise CorruptData(f"{name} is truncated or altered: it does not end with a footer", name)
    return int(offset)


def parse_index(block: Block, name: str) -> Index:
    _check_index(block, name)
    return tuple(PartitionPlace(*place) for place in _PLACE.iter_unpack(block.data))


def read_file_index(file: BinaryIO, name: str) -> Index:
    """The index of a file that can seek."""
    return parse_index(_index_block(file, name), name)


def read_place(file: BinaryIO, partition: int, name: str) -> PartitionPlace:
    """Where one partition is in a file that can seek: of hundreds, the others are not looked at."""
    block = _index_block(file, name)
    _check_index(block, name)
    if partition >= block.size:
        raise CorruptData(f"{name} has {block.size} partitions, no partition {partition}", name)
    return PartitionPlace(*_PLACE.unpack_from(block.data, partition * _PLACE.size))


def _check_index(block: Block, name: str) -> None:
    if block.kind != Kind.INDEX or len(block.data) != block.size * _PLACE.size:
        raise CorruptData(f"{name} is altered: no index where it should be", name)


def _index_block(file: BinaryIO, name: str) -> Block:
    nr_partitions = read_header(file, name)
    file.seek(-_FOOTER_BYTES, os.SEEK_END)
    file.seek(read_footer(file, name))
    block = read_block(file, name)
    if block.size != nr_partitions:
        raise CorruptData(f"{name} is altered: header and index disagree", name)
    return block
