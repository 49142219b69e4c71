"""Files as disks have them: links, archives, wide text, odd bytes. On a cluster and in one process alike."""

from __future__ import annotations

import gzip
import io
import os
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from disco_rq import JobError, func
from disco_rq.func import sum_reduce
from tests.cluster.conftest import Rows


def ones(line: str, params: Any) -> list[tuple[str, int]]:
    return [(line, 1)]


def refusal(rows: Rows, path: Path, **arguments: Any) -> str:
    with pytest.raises(JobError) as caught:
        rows([str(path)], map=ones, **arguments)
    return str(caught.value).splitlines()[0]


class TestLinks:
    def test_a_directory_with_two_names_is_read_once(self, rows: Rows, tmp_path: Path) -> None:
        (tmp_path / "2024").mkdir()
        (tmp_path / "2024" / "a.log").write_text("x\n")
        (tmp_path / "latest").symlink_to("2024")
        for pattern in ("**/*.log", "**", "*", "*/*.log"):
            assert rows([f"{tmp_path}/{pattern}"], map=ones) == [("x", 1)]

    def test_links_that_lead_back_or_nowhere_end_nothing(self, rows: Rows, tmp_path: Path) -> None:
        (tmp_path / "a.log").write_text("x\n")
        (tmp_path / "d").mkdir()
        for name, target in {"self": ".", "d/up": "..", "one": "two", "two": "one", "no": "gone"}.items():
            (tmp_path / name).symlink_to(target)
        for pattern in ("", "*", "**", "**/*.log"):
            assert rows([f"{tmp_path}/{pattern}"], map=ones) == [("x", 1)]

    def test_a_link_to_a_file_beside_it_counts_once_and_hard_links_are_files(
        self, rows: Rows, tmp_path: Path
    ) -> None:
        (tmp_path / "a").write_text("x\n")
        (tmp_path / "link").symlink_to("a")
        assert rows([str(tmp_path)], map=ones) == [("x", 1)]
        os.link(tmp_path / "a", tmp_path / "hard")
        assert rows([str(tmp_path)], map=ones, reduce=sum_reduce, nr_reduces=1) == [("x", 2)]
        assert rows([str(tmp_path / "a"), str(tmp_path / "a")], map=ones) == [("x", 1)] * 2

    def test_two_dots_behind_a_link_go_where_the_kernel_goes(self, rows: Rows, tmp_path: Path) -> None:
        (tmp_path / "real" / "deep").mkdir(parents=True)
        (tmp_path / "real" / "x.txt").write_text("right\n")
        (tmp_path / "x.txt").write_text("wrong\n")
        (tmp_path / "link").symlink_to("real/deep")
        for path in ("link/../x.txt", "link/..", "link/../*.txt", "link/../deep/../x.txt", "link/./../x.txt"):
            assert rows([f"{tmp_path}/{path}"], map=ones) == [("right", 1)]


def tar(pack: Callable[[bytes], bytes] = bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name in ("one.txt", "d/two.txt"):
            info = tarfile.TarInfo(name)
            info.size = len(name) + 1
            archive.addfile(info, io.BytesIO(f"{name}\n".encode()))
    return pack(out.getvalue())


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("one.txt", "d/two.txt"):
            archive.writestr(name, f"{name}\n")
    return out.getvalue()


class TestArchives:
    @pytest.mark.parametrize(
        ("name", "content"),
        [("x.tar", tar()), ("x.tgz", tar(gzip.compress)), ("x.tar.gz", tar(gzip.compress)), ("x", zipped())],
    )
    def test_an_archive_is_refused_with_the_address_that_reads_all_that_is_in_it(
        self, rows: Rows, tmp_path: Path, name: str, content: bytes
    ) -> None:
        (tmp_path / name).write_bytes(content)
        told = refusal(rows, tmp_path / name, split_size=100)
        assert "archive, and no text" in told
        address = re.findall(r'the address "([^"]+)"', told)[0]
        assert address == f"{'tar' if 'tar' in told else 'zip'}://**::file://{tmp_path}/{name}"
        assert sorted(rows([address], map=ones)) == [("d/two.txt", 1), ("one.txt", 1)]

    @pytest.mark.parametrize(("scheme", "content"), [("tar", tar()), ("zip", zipped())])
    def test_patterns_names_and_groups_within_an_archive_are_read(
        self, rows: Rows, tmp_path: Path, scheme: str, content: bytes
    ) -> None:
        archive = tmp_path / f"a b.{scheme}"
        archive.write_bytes(content)
        assert rows([f"{scheme}://one.txt::{archive}"], map=ones) == [("one.txt", 1)]
        assert rows([f"{scheme}://d/*.txt::{archive}"], map=ones) == [("d/two.txt", 1)]
        assert len(rows([f"{scheme}://**::file://{archive}"], map=ones, files_per_task=2)) == 2


class TestNoText:
    @pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
    @pytest.mark.parametrize("line", ["Привет, мир", "καλημέρα κόσμε", "中文文本测试", "日本語のログ", "a b"])
    def test_wide_text_without_a_mark_is_refused_with_the_reader_that_reads_it(
        self, rows: Rows, tmp_path: Path, encoding: str, line: str
    ) -> None:
        path = tmp_path / "wide.txt"
        path.write_bytes(f"{line}\r\n".encode(encoding) * 100)
        told = refusal(rows, path, split_size=50)
        assert f'{path} is {encoding.upper()} text: map_reader=func.text_reader("{encoding}")' in told
        assert rows([str(path)], map=ones, map_reader=func.text_reader(encoding)) == [(line, 1)] * 100

    def test_zlibs_stream_is_refused_with_what_reads_it(self, rows: Rows, tmp_path: Path) -> None:
        path = tmp_path / "x.zz"
        path.write_bytes(zlib.compress(b"".join(b"%d\n" % i for i in range(3000))))
        assert f"{path} is zlib data, and no text" in refusal(rows, path, split_size=1000)

        def unpacked(data: bytes, params: Any) -> list[tuple[str, int]]:
            return [("lines", len(zlib.decompress(data).splitlines()))]

        assert rows([str(path)], map=unpacked, map_reader=func.file_reader()) == [("lines", 3000)]

    def test_nuls_and_control_characters_in_some_lines_are_data(self, rows: Rows, tmp_path: Path) -> None:
        lines = ["caf\udce9 1\x012", "\0\0\0 after a crash", "\x1b[31mred\x1b[0m", "a\0b\0c", "é"]
        path = tmp_path / "odd.log"
        path.write_bytes("".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape") * 50)
        for size in (None, 7, 100):
            assert rows([str(path)], map=ones, split_size=size, nr_reduces=1) == [(x, 1) for x in lines] * 50
