"""A reduce that passes all pairs: large blocks of the maps go as they are."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from disco_rq import func
from disco_rq.errors import CorruptData, PartitionError, TaskError
from disco_rq.records import FileSource, RecordWriter, read_pairs
from disco_rq.records.blocks import Kind
from disco_rq.records.writer import encode
from tests.unit.stages.test_stages import Job, Start, words


@pytest.fixture
def start(tmp_path: Path) -> Start:
    return lambda **settings: Job(tmp_path, settings)


@pytest.mark.parametrize("length", [1, 200, 30_000])
def test_it_copies_large_blocks_and_joins_small_ones(length: int, start: Start) -> None:
    job = start(map=lambda e, params: [(e, e * length)] * 40, reduce=func.nop_reduce)
    maps = [job.map(f"raw://{word}", index=i)[0] for i, word in enumerate("abc")]
    out, result = job.reduce(maps)

    assert list(read_pairs(out)) == [(word, word * length) for word in "abc" for _ in range(40)]
    assert (result.entries_in, result.records_out, result.bytes_out) == (120, 120, out.stat().st_size)
    blocks = [(block.packed, block.data) for block in FileSource(out, "out").blocks(0)]
    read = [(block.packed, block.data) for path in maps for block in FileSource(path, "map").blocks(0)]
    large = [block for block in read if len(block[1]) > 100_000]
    assert [block for block in blocks if block in large] == large
    assert bool(large) == (length == 30_000)
    assert large or len(blocks) == 1


def test_it_gives_grouped_pairs_one_by_one(start: Start, tmp_path: Path) -> None:
    keys, groups = ["a", "b"], [[1] * 20_000, [2] * 20_000]
    with RecordWriter(tmp_path / "grouped") as writer:
        writer.add(0, encode(keys, groups, grouped=True))
    out, result = start(map=words, reduce=func.nop_reduce).reduce([tmp_path / "grouped"])

    assert list(read_pairs(out)) == [("a", 1)] * 20_000 + [("b", 2)] * 20_000
    assert result.records_out == 40_000
    assert {block.kind for block in FileSource(out, "out").blocks(0)} == {Kind.PAIRS}


def test_it_refuses_bytes_and_damage(start: Start) -> None:
    job = start(
        map=lambda e, params: [(e, e * 60_000)] * 4,
        map_writer=lambda fd, key, value, params: fd.write(value.encode()),
        reduce=func.nop_reduce,
    )
    with pytest.raises(TaskError, match="takes a reader"):
        job.reduce([job.map("raw://a")[0]])
    job = start(map=lambda e, params: [(e, random.randbytes(60_000))] * 4, reduce=func.nop_reduce)
    path, _ = job.map("raw://a")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(CorruptData):
        job.reduce([path])


def test_it_asks_the_partition_function_about_the_first_keys(start: Start) -> None:
    answers = iter([0] * 4)
    job = start(
        map=lambda e, params: [(e, e * 60_000)] * 4,
        partition=lambda key, nr_reduces, params: next(answers, 1),
        reduce=func.nop_reduce,
        nr_reduces=2,
    )
    path, _ = job.map("raw://a")
    with pytest.raises(PartitionError, match="does not answer the same in every process"):
        job.reduce([path])
