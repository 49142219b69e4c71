"""Where one partition is in a record file, without a look at the others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from disco_rq.errors import CorruptData
from disco_rq.records import FileSource, RecordWriter, read_index, read_pairs
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


@pytest.mark.parametrize("filled", [[], [0], [299], [0, 1, 2, 150, 298, 299], range(300)])
def test_of_hundreds_each_is_found_whichever_have_something(filled: Sequence[int], tmp_path: Path) -> None:
    with RecordWriter(tmp_path / "file", 300) as writer:
        for partition in filled:
            for _ in range(2):
                writer.add(partition, encode([partition], ["x"], grouped=False, digest=True))
    source = FileSource(tmp_path / "file", "file")

    assert [len(list(source.blocks(partition))) for partition in range(300)] == [
        2 * (partition in filled) for partition in range(300)
    ]
    assert [pair for pair, _ in read_pairs(tmp_path / "file")] == [i for i in filled for _ in range(2)]
    places = read_index(tmp_path / "file")
    assert writer.partition_bytes() == {i: places[i].length for i in filled}
    digests = writer.digests()
    assert [digests[4 * i : 4 * i + 4] != bytes(4) for i in range(300)] == [i in filled for i in range(300)]
    assert len(digests) == 4 * 300


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
