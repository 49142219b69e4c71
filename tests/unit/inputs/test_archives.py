"""Archives are read whole, or are an error: however they are packed, named, cut and damaged."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lz4.frame
import pytest
import zstandard

from disco_rq.errors import DataError, JobArgumentError
from disco_rq.inputs import open_input, plan_inputs
from disco_rq.model import Input

KINDS = {"link": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE, "pipe": tarfile.FIFOTYPE, "dir": tarfile.DIRTYPE}


def tar(*members: str | tuple[str, str] | tuple[str, str, str]) -> bytes:
    """Files, which hold their names; ``(name, content)``, or ``(name, kind, target)``."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for member in members:
            name, *more = (member,) if isinstance(member, str) else member
            info = tarfile.TarInfo(name)
            content = b""
            if len(more) == 2:
                info.type, info.linkname = KINDS[more[0]], more[1]
            else:
                content = (more[0] if more else name).encode()
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def read(address: str) -> list[str]:
    found = []
    for task in plan_inputs([address], line_based=True):
        with open_input(task.parts[0][0]) as (fd, _):
            found.append(fd.read().decode())
    return sorted(found)


def archive(tmp_path: Path, content: bytes, name: str = "x.tar") -> str:
    (tmp_path / name).write_bytes(content)
    return f"tar://**::file://{tmp_path}/{name}"


PACKS: list[Callable[[bytes], Any]] = [
    bytes,
    gzip.compress,
    bz2.compress,
    lzma.compress,
    zstandard.compress,
    lz4.frame.compress,
]


@pytest.mark.parametrize("name", ["x", "x.tar", "x.tgz", "backup.1"])
@pytest.mark.parametrize("pack", PACKS)
def test_how_it_is_packed_is_told_by_its_content(tmp_path: Path, name: str, pack: Any) -> None:
    assert read(archive(tmp_path, pack(tar("a", "d/b")), name)) == ["a", "d/b"]


@pytest.mark.parametrize("pack", PACKS)
def test_cut_off_anywhere_is_an_error(tmp_path: Path, pack: Any) -> None:
    whole = tar(("a", "a" * 512), ("b", "b" * 700), "c")
    end = len(whole.rstrip(b"\0"))
    for size in (1, 511, 512, 513, 1024, 1025, 1536, 2048, 2560, end):
        with pytest.raises((JobArgumentError, DataError), match=r"file://.*/x\.tar"):
            read(archive(tmp_path, pack(whole[:size])))
    packed = pack(whole)
    packed = packed[: len(packed) // 2 if pack is not bytes else end - 1]
    with pytest.raises((JobArgumentError, DataError)):
        read(archive(tmp_path, packed))


@pytest.mark.parametrize(
    ("content", "byte"),
    [
        (tar("a") + tar("b"), 10240),
        (tar("a")[:1024] + b"x" * 512 + tar("b"), 1024),
        (tar("a") + b"garbage", 10240),
        (bytes(tar("a", "b")[:1024]) + b"q" + bytes(tar("a", "b")[1025:]), 1024),
    ],
)
def test_what_is_behind_its_end_or_damaged_is_an_error_that_says_where(
    tmp_path: Path, content: bytes, byte: int
) -> None:
    with pytest.raises(JobArgumentError, match=f"what follows at byte {byte} of the archive is no member"):
        read(archive(tmp_path, content))


def test_names_as_tar_writes_them_are_found(tmp_path: Path) -> None:
    members = (("./", "dir", ""), ("./a", "1"), ("./d/b", "2"), ("/abs", "3"), ("../up", "4"), ("e//f", "5"))
    address = archive(tmp_path, tar(*members))
    assert read(address) == ["1", "2", "3", "4", "5"]
    assert read(address.replace("**", "d/b")) == read(address.replace("**", "./d/b")) == ["2"]
    with pytest.raises(JobArgumentError, match=r"two of its members are up: up and \.\./up"):
        read(archive(tmp_path, tar(("up", "1"), ("../up", "2"))))


def test_of_a_member_that_was_added_again_the_last_one_counts(tmp_path: Path) -> None:
    assert read(archive(tmp_path, tar(("a", "1"), ("a", "2")))) == ["2"]


def test_links_count_once_and_lead_nowhere_in_peace(tmp_path: Path) -> None:
    links = (("d/l", "link", "../a"), ("gone", "link", "no"), ("loop", "link", "loop"), ("dir", "link", "d"))
    address = archive(tmp_path, tar("a", "d/b", *links))
    assert read(address) == ["a", "d/b"]
    assert read(address.replace("**", "d/*")) == ["a", "d/b"]
    assert read(address.replace("**", "d/l")) == ["a"]
    assert read(archive(tmp_path, tar("a", ("hard", "hard", "a")))) == ["a", "a"]


def test_pipes_and_devices_are_refused(tmp_path: Path) -> None:
    address = archive(tmp_path, tar("a", ("p", "pipe", "")))
    with pytest.raises(JobArgumentError, match=r"tar://p::file://.*: it is a pipe or a device"):
        read(address)
    assert read(address.replace("**", "a")) == ["a"]


def test_a_tar_that_was_damaged_since_the_submit_is_a_data_error(tmp_path: Path) -> None:
    address = archive(tmp_path, tar("a") + tar("b")).replace("**", "a")
    with pytest.raises(DataError, match="no member"), open_input(Input(address)):
        pass


def test_a_zip_with_two_members_of_one_name_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as out:
        for content in ("1", "2"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                out.writestr("a", content)
    with pytest.raises(JobArgumentError, match="two of its members are a"):
        read(f"zip://**::file://{tmp_path}/x.zip")
    with (
        pytest.raises(DataError, match="two of its members"),
        open_input(Input(f"zip://a::{tmp_path}/x.zip")),
    ):
        pass


def test_a_zip_that_is_cut_or_damaged_is_an_error(tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as writer:
        writer.writestr("a", "a" * 1000)
    whole = out.getvalue()
    for content in (whole[:-30], whole[: len(whole) // 2], whole[:500] + b"b" + whole[501:]):
        (tmp_path / "x.zip").write_bytes(content)
        with pytest.raises((JobArgumentError, DataError), match=r"x\.zip"):
            read(f"zip://**::file://{tmp_path}/x.zip")
