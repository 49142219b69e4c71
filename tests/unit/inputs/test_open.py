"""One input, opened: local, raw, compressed, fsspec, disco; every failure names the address."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import lz4.frame
import pytest
import zstandard

from disco_rq.errors import DataError, TaskTimeout
from disco_rq.inputs import open_input
from disco_rq.model import Input
from disco_rq.outputs.addresses import preferred_node
from disco_rq.redact import redact

TEXT = b"".join(b"line %d\n" % i for i in range(50_000))
CODECS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstandard.ZstdCompressor().compress,
    "lz4": lz4.frame.compress,
}
every_codec = pytest.mark.parametrize("suffix", CODECS)


def read(url: str) -> bytes:
    with open_input(Input(url)) as (fd, size):
        data = fd.read()
    assert size in (None, len(data))
    return data


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    fs = fsspec.filesystem("memory")
    yield fs
    fs.store.clear()
    fs.pseudo_dirs[:] = [""]


class TestLocal:
    @pytest.mark.parametrize("form", ["{}", "file://{}", "FILE://{}", "file://localhost{}"])
    def test_paths_and_file_addresses(self, tmp_path: Path, form: str) -> None:
        (tmp_path / "a%20 b.txt").write_bytes(TEXT)
        assert read(form.format(tmp_path / "a%20 b.txt")) == TEXT

    def test_size_and_seek(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(b"abcdef")
        with open_input(Input(str(tmp_path / "a"))) as (fd, size):
            assert size == 6
            assert fd.seek(4) == 4
            assert fd.read() == b"ef"

    def test_files_that_claim_to_be_empty_are_read(self) -> None:
        assert b"Linux" in read("/proc/version")

    def test_missing_and_directories(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"cannot read .*/none: No such file or directory$") as caught:
            read(f"{tmp_path}/none")
        assert caught.value.url == f"{tmp_path}/none"
        with pytest.raises(DataError, match="Is a directory"):
            read(str(tmp_path))

    def test_errors_of_the_caller_pass_unchanged(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(b"abcdef")
        with pytest.raises(OSError, match="mine"), open_input(Input(str(tmp_path / "a"))):
            raise OSError("mine")

    def test_the_file_is_closed_also_when_the_caller_keeps_the_stream(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(b"abcdef")
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        with open_input(Input(str(tmp_path / "a"))) as (fd, _):
            pass
        assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
        assert fd


class TestRaw:
    def test_the_text_is_the_content(self) -> None:
        assert read("raw://a b%20c/d?e::f.gz") == b"a b%20c/d?e::f.gz"
        assert read("raw://") == b""
        assert read("raw://é") == "é".encode()
        with pytest.raises(DataError, match="raw://"):
            read("raw://\ud800")


class TestCompressed:
    @every_codec
    def test_read_through(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"a.txt.{suffix.upper()}"
        path.write_bytes(CODECS[suffix](TEXT))
        with open_input(Input(str(path))) as (fd, size):
            assert size is None
            assert sum(1 for _ in fd) == 50_000
        assert read(str(path)) == TEXT

    @every_codec
    def test_several_frames_in_a_row(self, tmp_path: Path, suffix: str) -> None:
        (tmp_path / f"a.{suffix}").write_bytes(CODECS[suffix](TEXT) + CODECS[suffix](b"more"))
        assert read(f"{tmp_path}/a.{suffix}") == TEXT + b"more"

    @every_codec
    @pytest.mark.parametrize("keep", [0.5, 0.999])
    def test_cut_off_in_the_middle(self, tmp_path: Path, suffix: str, keep: float) -> None:
        data = CODECS[suffix](TEXT)
        (tmp_path / f"a.{suffix}").write_bytes(data[: int(len(data) * keep)])
        with pytest.raises(DataError, match=rf"cannot read .*/a\.{suffix}: ") as caught:
            read(f"{tmp_path}/a.{suffix}")
        assert "\n" not in str(caught.value)

    @every_codec
    def test_not_what_the_name_says(self, tmp_path: Path, suffix: str) -> None:
        (tmp_path / f"a.{suffix}").write_bytes(b"plain text, and enough of it to be looked at")
        with pytest.raises(DataError, match=rf"/a\.{suffix}: "):
            read(f"{tmp_path}/a.{suffix}")

    def test_a_zstd_file_of_zeros_is_read_in_bounded_steps(self, tmp_path: Path) -> None:
        (tmp_path / "a.zst").write_bytes(CODECS["zst"](bytes(20_000_000)))
        with open_input(Input(f"{tmp_path}/a.zst")) as (fd, _):
            assert sum(len(chunk) for chunk in iter(lambda: fd.read(1 << 20), b"")) == 20_000_000


class TestFsspec:
    def test_memory(self, memory: fsspec.AbstractFileSystem) -> None:
        memory.pipe("/d/a.txt", TEXT)
        memory.pipe("/d/a.gz", gzip.compress(TEXT))

        assert read("memory://d/a.txt") == read("memory://d/a.gz") == TEXT
        with open_input(Input("memory://d/a.txt", 10, 20)) as (fd, size):
            assert (fd.read(), size) == (b"line 2\nline 3\nline 4\n"[: size or 0], 21)

    def test_zip_members(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "z.zip", "w", zipfile.ZIP_DEFLATED) as z:
            z.writestr("in/a.txt", TEXT)
        assert read(f"zip://in/a.txt::file://{tmp_path}/z.zip") == TEXT
        with pytest.raises(DataError, match=r"zip://none::"):
            read(f"zip://none::file://{tmp_path}/z.zip")

    def test_missing_files_libraries_and_schemes(self) -> None:
        with pytest.raises(DataError, match="memory://none"):
            read("memory://none")
        with pytest.raises(DataError, match="needs adlfs: pip install adlfs"):
            read("abfs://container/a")
        with pytest.raises(DataError, match="no such scheme: foo://"):
            read("foo://a")

    def test_a_failure_in_the_middle(
        self, memory: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        memory.pipe("/a.txt", TEXT)
        with open_input(Input("memory://a.txt")) as (fd, _):
            fd.readline()
            monkeypatch.setattr(
                type(memory.store["/a.txt"]), "readinto", _fail(KeyError("lost")), raising=False
            )
            with pytest.raises(DataError, match=r"^cannot read memory://a.txt: KeyError: 'lost'$"):
                fd.read()

    def test_a_tasks_timeout_while_reading_is_not_a_data_error(
        self, memory: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        memory.pipe("/a.txt", TEXT)
        with open_input(Input("memory://a.txt")) as (fd, _):
            monkeypatch.setattr(
                type(memory.store["/a.txt"]), "readinto", _fail(TaskTimeout("late")), raising=False
            )
            with pytest.raises(TaskTimeout):
                fd.read()


def _fail(error: Exception) -> Callable[..., int]:
    def readinto(*args: object) -> int:
        raise error

    return readinto


class TestDisco:
    def test_the_worker_says_where_the_file_is(self, tmp_path: Path) -> None:
        (tmp_path / "part").write_bytes(b"content")
        asked: list[str] = []

        def resolve(url: str) -> str:
            asked.append(url)
            return str(tmp_path / "part")

        with open_input(Input("disco://n1/job/part"), resolve=resolve) as (fd, size):
            assert (fd.read(), size) == (b"content", 7)
        assert asked == ["disco://n1/job/part"]

    def test_errors_name_the_disco_address(self) -> None:
        with (
            pytest.raises(DataError, match=r"cannot read disco://n1/a: No such file"),
            open_input(Input("disco://n1/a"), resolve=lambda _: "/none"),
        ):
            pass
        with pytest.raises(DataError, match="disco://n1/a"):
            read("disco://n1/a")

    def test_preferred_node(self) -> None:
        assert preferred_node("disco://n1/a/b") == "n1"
        assert preferred_node("disco://n1:8989/a") == "n1"
        assert [preferred_node(url) for url in ("disco:///a", "http://n1/a", "/a/disco://b")] == [None] * 3


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://me:s3cret@host/a", "http://me:***@host/a"),
        ("sftp://me:p@ss@host/a and http://a:b@c", "sftp://me:***@host/a and http://a:***@c"),
        ("http://host:80/a@b", "http://host:80/a@b"),
        (
            "https://b/k?X-Amz-Signature=abc&x=1&access_key=zzz",
            "https://b/k?X-Amz-Signature=***&x=1&access_key=***",
        ),
        ("/plain/path", "/plain/path"),
    ],
)
def test_passwords_are_not_shown(text: str, shown: str) -> None:
    assert redact(text) == shown
