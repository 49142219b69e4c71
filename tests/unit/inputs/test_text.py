"""Lines of text: what ends them, what goes, and what is no text and refused with what reads it."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from disco_rq import func
from disco_rq.errors import WrongContent
from disco_rq.inputs import open_input, plan_inputs

BOM = b"\xef\xbb\xbf"


def lines(data: bytes, reader: Any = func.map_line_reader, name: str = "in.txt") -> list[Any]:
    return list(reader(io.BytesIO(data), len(data), name))


def tar() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo("d/one.txt")
        info.size = 2
        archive.addfile(info, io.BytesIO(b"a\n"))
    return out.getvalue()


def old_tar() -> bytes:
    """Without ``ustar``, as tar wrote in 1979."""
    header = bytearray(512)
    header[:5], header[100:108], header[124:136] = b"a.txt", b"0000644\0", b"00000000002\0"
    header[148:156] = b"%06o\0 " % (sum(header) + 8 * 32)
    return bytes(header) + b"a\n".ljust(512, b"\0") + bytes(1024)


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("d/one.txt", "a\n")
    return out.getvalue()


def parquet() -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({"a": [1]}), out)
    return out.getvalue()


class TestLineEnds:
    @pytest.mark.parametrize(
        ("data", "expected"),
        [
            (b"a\r\nb\nc", ["a", "b", "c"]),
            (b"a\r\n", ["a"]),
            (b"\r\n\n", ["", ""]),
            (b"a\rb\n", ["a\rb"]),
            (b"a\r", ["a\r"]),
            (b"a\r\r\n", ["a\r"]),
            (b"", []),
            (BOM, []),
            (BOM + b"id\r\n", ["id"]),
            (b"a" + BOM + b"\n", ["a\ufeff"]),
            (b"\xff\n", ["\udcff"]),
        ],
    )
    def test_both_ends_go_and_a_lone_return_stays(self, data: bytes, expected: list[str]) -> None:
        assert lines(data) == expected
        assert lines(data, func.text_reader()) == expected
        as_bytes = [line.encode("utf-8", "surrogateescape") for line in expected]
        assert lines(data, func.bytes_lines()) == as_bytes

    @pytest.mark.parametrize("before", range((256 << 10) - 3, (256 << 10) + 3))
    def test_wherever_the_chunks_end(self, before: int) -> None:
        assert lines(b"x" * before + b"\r\nb\r\n") == ["x" * before, "b"]

    @pytest.mark.parametrize(
        "encoding", ["utf-16", "utf-16-le", "utf-32", "cp1252", "utf-8-sig", "shift_jis"]
    )
    def test_in_another_encoding(self, encoding: str) -> None:
        text = ["grad", "", "x" * 300_000, "ende"]
        data = "\r\n".join(text).encode(encoding)
        assert lines(data, func.text_reader(encoding)) == text

    def test_an_encoding_that_is_none_is_refused_at_once(self) -> None:
        with pytest.raises(ValueError, match="text_reader\\(encoding='utf-99'\\)"):
            func.text_reader("utf-99")
        with pytest.raises(WrongContent, match=r"in\.txt is no utf-16 text"):
            lines(b"\xff\xfea", func.text_reader("utf-16"))


class TestWhatIsNoText:
    @pytest.mark.parametrize(
        ("data", "told"),
        [
            ("a\nb\n".encode("utf-16"), r'UTF-16 text: map_reader=func.text_reader\("utf-16"\)'),
            ("a\nb\n".encode("utf-32"), r'func.text_reader\("utf-32"\)'),
            ("\ufeffa\n".encode("utf-16-be"), r'func.text_reader\("utf-16"\)'),
            ("a\nb\nc\n".encode("utf-16-le"), r'func.text_reader\("utf-16-le"\)'),
            ("a\nb\n".encode("utf-32-le"), r'UTF-32-LE text: map_reader=func.text_reader\("utf-32-le"\)'),
            ("a\nb\n".encode("utf-32-be"), r'func.text_reader\("utf-32-be"\)'),
            (("ab" * 20).encode("utf-16-le"), r'func.text_reader\("utf-16-le"\)'),
            ("a\nb\nc\n".encode("utf-16-be"), r'func.text_reader\("utf-16-be"\)'),
            (gzip.compress(b"a\n"), "gzip data, packed a second time: unpack it once"),
            (bz2.compress(b"a\n"), "bz2 data, packed a second time"),
            (lzma.compress(b"a\n"), "xz data, packed a second time"),
            (lzma.compress(b"a\n", format=lzma.FORMAT_ALONE), "old lzma format"),
            (tar(), "tar archive"),
            (old_tar(), "tar archive"),
            (zipped(), r"zip archive.* \"zip://\*\*::file://in.txt\""),
            (parquet(), r"Parquet.*func.parquet_reader\(\)"),
            (b"PAR1\x15\x00", "Parquet"),
            (b"ORC\x08\x03\x10\x6a", "ORC file"),
            (b"SEQ\x06\x19org.apache.hadoop.io.Text", "SequenceFile"),
            (b"\x93NUMPY\x01\x00v\x00", "NumPy"),
            (b"\x89LZO\0\r\n\x1a\n", "lzop"),
            *((pickle.dumps({"a": 1}, protocol), "pickle") for protocol in (2, 3, 4, 5)),
            (pickle.dumps(1), "pickle"),
        ],
    )
    def test_is_refused_with_what_reads_it(self, data: bytes, told: str) -> None:
        for reader in (func.map_line_reader, func.text_reader(), func.bytes_lines()):
            with pytest.raises(WrongContent, match=f"in.txt is .*{told}"):
                lines(data, reader)

    @pytest.mark.parametrize(
        "text",
        [
            b"PAR1,2,3\n",
            b"ORC\t1\n",
            b"SEQ 6\n",
            b"PK\n",
            b"disco-rq is a program\n",
            b"a\0b\0c\0d\0",
            b"\0\0\n",
            b"x" * 600,
        ],
    )
    def test_text_that_begins_alike_is_text(self, text: bytes) -> None:
        assert lines(text, func.bytes_lines()) == [text.removesuffix(b"\n")]

    @pytest.mark.parametrize(
        ("name", "pack"),
        [("x.tar", bytes), ("x.tgz", gzip.compress), ("x.tar.gz", gzip.compress), ("x.zip", None)],
    )
    def test_the_address_that_is_named_reads_it(
        self, tmp_path: Path, name: str, pack: Callable[[bytes], bytes] | None
    ) -> None:
        path = tmp_path / name
        path.write_bytes(pack(tar()) if pack else zipped())
        [task] = plan_inputs([str(path)], line_based=True, split_size=100)  # a piece of it would be text
        with (
            pytest.raises(WrongContent) as caught,
            open_input(task.parts[0][0]) as (fd, size),
        ):
            list(func.map_line_reader(fd, size, str(path)))

        address = str(caught.value).split('"')[1]
        [task] = plan_inputs([address], line_based=True)
        with open_input(task.parts[0][0]) as (fd, _):
            assert fd.read() == b"a\n"
