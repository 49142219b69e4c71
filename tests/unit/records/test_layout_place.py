"""Where one partition is in a record file, without a look at the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from disco_rq.errors import CorruptData
from disco_rq.records import RecordWriter, read_index
from disco_rq.records.layout import read_place
from disco_rq.records.writer import encode


@pytest.fixture
def file(tmp_path: Path) -> Path:
    with RecordWriter(tmp_path / "file", 4) as writer:
        writer.add(1, encode(["a"], [1], grouped=False))
        writer.add(3, encode(["b", "c"], [2, 3], grouped=False))
    return tmp_path / "file"


def test_it_is_what_the_index_says(file: Path) -> None:
    for partition, place in enumerate(read_index(file)):
        with open(file, "rb") as opened:
            assert read_place(opened, partition, "file") == place


def test_a_partition_that_the_file_has_not_is_told(file: Path) -> None:
    with (
        open(file, "rb") as opened,
        pytest.raises(CorruptData, match="has 4 partitions, no partition 4"),
    ):
        read_place(opened, 4, "file")


@pytest.mark.parametrize("at", [10, -3, -30, -60])
def test_an_altered_byte_of_header_index_or_footer_is_told(file: Path, at: int) -> None:
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)
    with open(file, "rb") as opened, pytest.raises(CorruptData, match="altered"):
        read_place(opened, 1, "file")
