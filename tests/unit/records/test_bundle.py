"""Small outputs share a file: each is found under its name, and damage is noticed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from disco_rq.errors import CorruptData
from disco_rq.records import FileSource, RecordWriter, open_output, read_pairs, write_outputs
from disco_rq.records.writer import encode


def record_file(tmp_path: Path, pairs: list[tuple[str, int]], memory_bytes: int = 1 << 16) -> bytes | None:
    """What a task's output of two partitions looks like; the pairs are in the second."""
    with RecordWriter(tmp_path / "aside", 2, memory_bytes) as writer:
        writer.add(1, encode([key for key, _ in pairs], [value for _, value in pairs], grouped=False))
    return writer.content()


@pytest.fixture
def outputs(tmp_path: Path) -> dict[str, bytes]:
    contents = {f"map-{i}.1": record_file(tmp_path, [(f"key{i}", i)]) for i in (1, 11, 111)}
    return {name: content for name, content in contents.items() if content is not None}


def test_each_output_is_read_under_its_own_name(tmp_path: Path, outputs: dict[str, bytes]) -> None:
    write_outputs(tmp_path / "job", outputs, tmp_path / "aside")

    read = {name: list(read_pairs(tmp_path / "job" / name)) for name in outputs}

    assert read == {"map-1.1": [("key1", 1)], "map-11.1": [("key11", 11)], "map-111.1": [("key111", 111)]}
    assert sum(block.size for block in FileSource(tmp_path / "job/map-11.1", "x").blocks(1)) == 1


def test_they_share_one_file(tmp_path: Path, outputs: dict[str, bytes]) -> None:
    write_outputs(tmp_path / "job", outputs, tmp_path / "aside")

    assert len({(tmp_path / "job" / name).stat().st_ino for name in outputs}) == 1
    assert not (tmp_path / "aside").exists()


def test_a_single_output_is_a_file_of_its_own(tmp_path: Path, outputs: dict[str, bytes]) -> None:
    content = outputs["map-11.1"]

    write_outputs(tmp_path / "job", {"map-11.1": content}, tmp_path / "aside")

    assert (tmp_path / "job/map-11.1").read_bytes() == content


def test_without_links_each_gets_a_file_of_its_own(
    tmp_path: Path, outputs: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)

    write_outputs(tmp_path / "job", outputs, tmp_path / "aside")

    assert {name: (tmp_path / "job" / name).read_bytes() for name in outputs} == outputs


def test_an_attempt_that_is_run_again_replaces_its_output(tmp_path: Path, outputs: dict[str, bytes]) -> None:
    (tmp_path / "job").mkdir()
    (tmp_path / "job/map-11.1").write_bytes(b"of a worker that had to begin again")

    write_outputs(tmp_path / "job", outputs, tmp_path / "aside")

    assert list(read_pairs(tmp_path / "job/map-11.1")) == [("key11", 11)]


def test_a_full_disk_is_told_and_leaves_nothing_aside(tmp_path: Path, outputs: dict[str, bytes]) -> None:
    (tmp_path / "job").write_text("no directory")

    with pytest.raises(OSError, match="exists"):
        write_outputs(tmp_path / "job", outputs, tmp_path / "aside")

    assert not (tmp_path / "aside").exists()


def test_every_altered_byte_is_noticed(tmp_path: Path, outputs: dict[str, bytes]) -> None:
    write_outputs(tmp_path / "job", outputs, tmp_path / "aside")
    path = tmp_path / "job/map-11.1"
    whole = path.read_bytes()
    others = [content for name, content in outputs.items() if name != "map-11.1"]
    harmless = {at for other in others for at in range(whole.index(other), whole.index(other) + len(other))}

    for at in set(range(len(whole))) - harmless:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x20]) + whole[at + 1 :])
        with pytest.raises(CorruptData, match=r"map-11\.1"):
            list(read_pairs(path))


def test_every_truncation_is_noticed(tmp_path: Path, outputs: dict[str, bytes]) -> None:
    write_outputs(tmp_path / "job", outputs, tmp_path / "aside")
    path = tmp_path / "job/map-111.1"  # the last one in the file
    whole = path.read_bytes()

    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(CorruptData, match=r"map-111\.1"):
            list(read_pairs(path))


def test_a_name_that_the_bundle_does_not_hold_is_told(tmp_path: Path, outputs: dict[str, bytes]) -> None:
    write_outputs(tmp_path / "job", outputs, tmp_path / "aside")
    (tmp_path / "job/map-1.1").rename(tmp_path / "job/map-2.1")

    with (tmp_path / "job/map-2.1").open("rb") as file, pytest.raises(CorruptData, match="not in the bundle"):
        open_output(file, "map-2.1")


def test_what_outgrows_memory_is_written_to_the_file(tmp_path: Path) -> None:
    pairs = [(f"key{i}", i) for i in range(1000)]

    assert record_file(tmp_path, pairs, memory_bytes=100) is None

    assert list(read_pairs(tmp_path / "aside")) == pairs
