"""A record file that is truncated or altered is noticed, wherever it was."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from disco_rq.errors import CorruptData
from disco_rq.records import FileSource, RecordWriter, batches, read_blocks, read_index, read_pairs
from disco_rq.records.blocks import Kind
from disco_rq.records.writer import encode


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Two partitions with a compressed and a plain block each, and an empty one."""
    path = tmp_path / "file"
    with RecordWriter(path, 3) as writer:
        for partition in (0, 2):
            writer.add(partition, encode([f"word {i}" for i in range(20)], list(range(20)), grouped=False))
            writer.add(partition, encode([b"k"], [[b"v"]], grouped=True))
    return path


def read_all(data: bytes) -> list[Any]:
    return list(read_pairs(io.BytesIO(data), "the file"))


def test_a_flipped_bit_in_any_byte_is_noticed(file: Path) -> None:
    good = file.read_bytes()
    assert len(read_all(good)) == 42
    for position in range(len(good)):
        for bit in (0, 7):
            bad = bytearray(good)
            bad[position] ^= 1 << bit
            with pytest.raises(CorruptData, match="the file") as noticed:
                read_all(bytes(bad))
            assert noticed.value.url == "the file"


def test_an_end_after_any_byte_is_noticed(file: Path) -> None:
    good = file.read_bytes()
    for length in range(len(good)):
        with pytest.raises(CorruptData, match="the file"):
            read_all(good[:length])


def test_bytes_behind_the_end_are_noticed(file: Path) -> None:
    with pytest.raises(CorruptData, match="footer"):
        read_all(file.read_bytes() + b"x")


@pytest.mark.parametrize("partition", [0, 1, 2])
def test_a_reduce_notices_every_altered_byte_of_its_partition_header_index_and_footer(
    file: Path, partition: int
) -> None:
    good = file.read_bytes()
    place = read_index(file)[partition]
    index_start = read_index(file)[-1].offset + read_index(file)[-1].length
    mine = [*range(16), *range(place.offset, place.offset + place.length), *range(index_start, len(good))]
    for position in mine:
        bad = bytearray(good)
        bad[position] ^= 0x10
        file.write_bytes(bad)
        with pytest.raises(CorruptData, match="disco://n/f"):
            list(batches(FileSource(file, "disco://n/f").blocks(partition), "disco://n/f"))


def test_a_reduce_notices_every_truncation(file: Path) -> None:
    good = file.read_bytes()
    for length in range(len(good)):
        file.write_bytes(good[:length])
        with pytest.raises(CorruptData):
            list(FileSource(file, "f").blocks(0))


def test_a_partitions_stream_that_ends_anywhere_is_noticed(file: Path) -> None:
    place = read_index(file)[2]
    body = file.read_bytes()[place.offset : place.offset + place.length]
    assert sum(len(batch.keys) for batch in batches(read_blocks(io.BytesIO(body), 2, "u"), "u")) == 21
    for length in range(len(body)):
        with pytest.raises(CorruptData, match="truncated"):
            list(read_blocks(io.BytesIO(body[:length]), 2, "u"))


def test_blocks_of_another_partition_or_in_another_order_are_noticed(file: Path) -> None:
    last = read_index(file)[2]
    data = file.read_bytes()
    body = data[last.offset : last.offset + last.length]
    with pytest.raises(CorruptData, match="partition 0 expected"):
        list(read_blocks(io.BytesIO(data[last.offset :]), 0, "u"))
    blocks = list(read_blocks(io.BytesIO(body), 2, "u"))
    assert [block.kind for block in blocks] == [Kind.PAIRS, Kind.GROUPS]
    second = data.index(b"DRqB", last.offset + 1)
    with pytest.raises(CorruptData, match="block 0 of partition 2 expected"):
        list(read_blocks(io.BytesIO(data[second:]), 2, "u"))


def test_any_other_file_is_no_record_file(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc\n")
    with pytest.raises(CorruptData, match="no record file"):
        list(read_pairs(tmp_path / "f"))
    (tmp_path / "f").write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(CorruptData, match="no record file"):
        list(read_pairs(tmp_path / "f"))
    with pytest.raises(CorruptData, match="no record file"):
        read_index(tmp_path / "f")


def test_an_empty_file_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"")
    with pytest.raises(CorruptData, match="truncated"):
        list(read_pairs(tmp_path / "f"))
