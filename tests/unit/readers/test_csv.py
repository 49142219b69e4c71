"""CSV: the rows that Python's ``csv`` reads, whole and in pieces of any size; or an error that says where."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from disco_rq import func
from disco_rq.errors import BadEntryError, WrongContent
from disco_rq.readers import csvfiles
from tests.unit.readers.pieces import planned, read, read_pieces

SIZES = (None, 1, 2, 3, 5, 8, 13, 40)
AWKWARD = [
    b"",
    b"\n\n",
    b"a,b",
    b"a,b\n",
    b"a,b\n1,2",
    b"\xef\xbb\xbfa,b\n1,2\n",
    b"a,b\r\n1,2\r\n\r\n3,4\r\n",
    b"a,b\r1,2\r3,4",
    b'a,b\n"1\n\n2","3,""4"""\n5,"6"\n',
    b'"a\nx",b\n1,2\n3,"4\n"\n5,6\n',
    b'a,b\n5" disk,"two\nlines"\n6" disk,x\n"q",y\n',
    b'a,b\n"x"y,"z\n"w\n1,2\n3,4\n',
    b'a,b\n"",""\n"""",""""""\n',
    b"a,b\n\x00,\xff\xfe\n\xc3\xa9,\xe2\x82\xac\n",
    b"\n \na\n",
    b'a,b\n1,"\r\n"\r\n2,"\r"\r\n',
    b"a\x0bx,b\n1\x85,\xe2\x80\xa82\n3\x0c,4\n",
]

field = st.one_of(
    st.sampled_from(["", "a", '"', '""', "\n", "\r", "\r\n", ",", "é", 'x"y', "12", " "]),
    st.text('ab,"\n\r é', max_size=8),
)
records = st.lists(st.lists(field, min_size=2, max_size=2), max_size=12)


def expected(data: bytes) -> list[list[str]]:
    text = data.decode("utf-8-sig", "surrogateescape")
    return [row for row in csv.reader(io.StringIO(text, newline="")) if row]


def well_formed(data: bytes) -> bool:
    """Whether the last record is whole."""
    text = data.decode("utf-8-sig", "surrogateescape")
    lines = list(io.StringIO(text, newline=""))
    return len(list(csv.reader([*lines, "x"]))) > len(list(csv.reader(lines)))


class TestRecordsAreThoseOfPython:
    @pytest.mark.parametrize("size", SIZES)
    @pytest.mark.parametrize("data", AWKWARD)
    def test_of_awkward_files(self, tmp_path: Path, data: bytes, size: int | None) -> None:
        path = tmp_path / "a.csv"
        path.write_bytes(data)
        rows = expected(data)
        assert read(path, func.csv_reader(header=False), size) == rows
        if rows and all(len(row) == len(rows[0]) for row in rows):
            dicts = [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]
            assert read(path, func.csv_reader(), size) == dicts

    @settings(max_examples=60, deadline=None)
    @given(
        records, st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]), st.sampled_from(["\n", "\r\n", "\r"])
    )
    def test_of_what_python_wrote(
        self, tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], quoting: Any, end: str
    ) -> None:
        out = io.StringIO(newline="")
        csv.writer(out, quoting=quoting, lineterminator=end).writerows([["k", "v"], *rows])
        path = tmp_path_factory.mktemp("csv") / "a.csv"
        path.write_bytes(out.getvalue().encode())
        given = expected(path.read_bytes())  # with other ends of lines Python writes a lone return as it is
        for size in SIZES:
            assert read(path, func.csv_reader(header=False), size) == given
            if all(len(row) == 2 for row in given):
                dicts = [dict(zip("kv", row, strict=True)) for row in given[1:]]
                assert read(path, func.csv_reader(), size) == dicts

    @settings(max_examples=200, deadline=None)
    @given(st.text('ab,"\n\r', max_size=40).map(str.encode).filter(well_formed))
    def test_of_any_text(self, tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
        path = tmp_path_factory.mktemp("csv") / "a.csv"
        path.write_bytes(data)
        for size in SIZES:
            assert read(path, func.csv_reader(header=False), size) == expected(data)

    @pytest.mark.parametrize("before", range((256 << 10) - 3, (256 << 10) + 3))
    def test_wherever_the_chunks_end(self, before: int) -> None:
        data = b"a,b\r\n" + b"x" * (before - 5) + b',"\xc3\xa9\r\n"\r\n1,2\r\n'
        assert list(func.csv_reader(header=False)(io.BytesIO(data), None, "a.csv")) == expected(data)

    @pytest.mark.parametrize("chunk", [1, 2, 3, 4, 7])
    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    @pytest.mark.parametrize("last", ["", "3,4", '"3\n",4', "3,4\r", "3,4\r\n"])
    def test_also_where_a_chunk_ends_with_a_line_and_the_last_one_has_no_end(
        self, monkeypatch: pytest.MonkeyPatch, chunk: int, end: str, last: str
    ) -> None:
        monkeypatch.setattr(csvfiles, "_CHUNK_BYTES", chunk)
        monkeypatch.setattr(csvfiles, "_TOLD_BYTES", 1)
        for first in ("1,2", "11,2", "111,2", "\r\n1,2", '"1\r",2'):
            data = f"a,b{end}{first}{end}{last}".encode()
            assert list(func.csv_reader(header=False)(io.BytesIO(data), None, "a.csv")) == expected(data)

    def test_with_fields_of_megabytes(self, tmp_path: Path) -> None:
        path = tmp_path / "a.csv"
        text = "x\n" * 3_000_000
        path.write_text(f'a,b\n"{text}",1\n2,{"y" * 2_000_000}\n')
        rows = [{"a": text, "b": "1"}, {"a": "2", "b": "y" * 2_000_000}]
        assert read(path, func.csv_reader()) == rows
        assert read(path, func.csv_reader(), 1_000_000) == rows

    @pytest.mark.parametrize(
        "encoding", ["utf-16", "utf-16-le", "utf-32", "cp1252", "utf-8-sig", "shift_jis"]
    )
    def test_in_another_encoding(self, tmp_path: Path, encoding: str) -> None:
        path = tmp_path / "a.csv"
        path.write_bytes("a;b\r\n'1;\r\n2';grad\r\n".encode(encoding))
        reader = func.csv_reader(delimiter=";", quotechar="'", encoding=encoding)
        assert read(path, reader, 5) == [{"a": "1;\r\n2", "b": "grad"}]


class TestPieces:
    def test_begin_at_records_and_know_the_header(self, tmp_path: Path) -> None:
        path = tmp_path / "a.csv"
        path.write_text("k,v\n" + "".join(f'{i},"line\n\n{i}"\n' for i in range(1000)))
        pieces = read_pieces(path, func.csv_reader(), 1000)
        assert len(pieces) > 10
        assert [row["k"] for piece in pieces for row in piece] == [str(i) for i in range(1000)]
        assert {tuple(row) for piece in pieces for row in piece} == {("k", "v")}

    def test_a_header_longer_than_what_is_looked_at_first(self, tmp_path: Path) -> None:
        path = tmp_path / "a.csv"
        names = [f"{'n' * 1000}\n{i}" for i in range(200)]
        with path.open("w", newline="", encoding="utf-8-sig") as out:
            csv.writer(out).writerows([names, *[[str(i)] * 200 for i in range(500)]])
        rows = read(path, func.csv_reader(), 100_000)
        assert len(planned(path, func.csv_reader(), 100_000)) > 1
        assert rows == [dict.fromkeys(names, str(i)) for i in range(500)]

    def test_there_is_one_where_a_quote_stands_within_a_field(self, tmp_path: Path) -> None:
        path = tmp_path / "a.csv"
        path.write_text('k,v\n1,5" disk\n' + "2,x\n" * 100)
        assert len(planned(path, func.csv_reader(), 50)) == 1
        assert len(planned(path, func.csv_reader(quotechar=None), 50)) > 1

    def test_there_is_one_of_a_compressed_file(self, tmp_path: Path) -> None:
        for name in ("a.csv.gz", "a.csv"):
            path = tmp_path / name
            path.write_bytes(gzip.compress(b"k,v\n" + b"1,2\n" * 500_000, 0))
            assert len(planned(path, func.csv_reader(), 1000)) == 1
            assert len(read(path, func.csv_reader(), 1000)) == 500_000

    def test_without_quotes_each_line_is_a_record(self, tmp_path: Path) -> None:
        path = tmp_path / "a.csv"
        path.write_text('k,v\n"1,"2\n' * 20)
        rows = read(path, func.csv_reader(quotechar=None, header=False), 7)
        assert rows == [["k", "v"], ['"1', '"2']] * 20


class TestHeader:
    def test_names_of_ones_own_and_the_first_record_is_data(self, tmp_path: Path) -> None:
        path = tmp_path / "a.csv"
        path.write_text("1,2\n3,4\n")
        assert read(path, func.csv_reader(header=["x", "y"]), 3) == [
            {"x": "1", "y": "2"},
            {"x": "3", "y": "4"},
        ]

    def test_a_name_that_is_there_twice_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "a.csv"
        path.write_text("a,b,a\n1,2,3\n")
        with pytest.raises(WrongContent, match=r"a\.csv has two columns with the name 'a'"):
            read(path, func.csv_reader())


class TestTheLineThatExcelHides:
    """``sep=;`` at the start of a file."""

    @pytest.mark.parametrize("first", ["sep=;\r\n", '"SEP=;"\n', "\ufeffsep=;\n"])
    @pytest.mark.parametrize("size", [None, 6, 9, 30])
    def test_is_no_record(self, tmp_path: Path, first: str, size: int | None) -> None:
        path = tmp_path / "a.csv"
        path.write_bytes(f"{first}k;v\n{'1;2' + chr(10)}{'3;4' + chr(10) * 9}".encode())
        rows = [{"k": "1", "v": "2"}, {"k": "3", "v": "4"}]
        assert read(path, func.csv_reader(delimiter=";"), size) == rows
        assert read(path, func.csv_reader(delimiter=";", quotechar=None), size) == rows
        lists = [["k", "v"], ["1", "2"], ["3", "4"]]
        assert read(path, func.csv_reader(delimiter=";", header=False), size) == lists

    @pytest.mark.parametrize("size", [None, 30])
    def test_is_refused_where_it_says_something_else(self, tmp_path: Path, size: int | None) -> None:
        path = tmp_path / "a.csv"
        path.write_text("sep=;\nk;v\n" + "1;2\n" * 20)
        with pytest.raises(WrongContent, match=r"begins with 'sep=;'.*csv_reader\(delimiter=';'\)"):
            read(path, func.csv_reader(), size)

    def test_counts_in_the_byte_of_a_bad_record(self, tmp_path: Path) -> None:
        path = tmp_path / "a.csv"
        path.write_text("sep=;\nk;v\n1\n")
        with pytest.raises(BadEntryError, match="byte 10: 1 columns"):
            read(path, func.csv_reader(delimiter=";"))

    def test_anywhere_else_is_a_record(self, tmp_path: Path) -> None:
        path = tmp_path / "a.csv"
        path.write_text("k\nsep=;\n")
        assert read(path, func.csv_reader()) == [{"k": "sep=;"}]


class TestWhatIsBad:
    @pytest.mark.parametrize("size", [None, 20])
    @pytest.mark.parametrize(
        ("data", "told"),
        [
            (b"a,b\n1,2\n\n1,2,3\n", r"a\.csv, byte 9: 3 columns, the header has 2: '1,2,3'"),
            (b"\xef\xbb\xbfa,b\n\xc3\xa9,2\n1\n", r"byte 12: 1 columns, the header has 2: '1'"),
            (b'a,b\n1,2\n"3,4\n5,6\n', r"byte 8: its last quote is not closed.*: '\"3,4\\n5,6'"),
            (b"a,b\n" + b"11,2\n" * 100 + b"1\n", r"byte 504: 1 columns, the header has 2"),
        ],
    )
    def test_is_named_with_the_byte_where_it_begins(
        self, tmp_path: Path, data: bytes, told: str, size: int | None
    ) -> None:
        path = tmp_path / "a.csv"
        path.write_bytes(data)
        with pytest.raises(BadEntryError, match=told):
            read(path, func.csv_reader(), size)

    @settings(max_examples=100, deadline=None)
    @given(st.text('ab,"\n\ré', max_size=40).map(str.encode).filter(lambda data: not well_formed(data)))
    def test_a_quote_that_is_not_closed_is_never_passed_over(self, data: bytes) -> None:
        with pytest.raises(BadEntryError, match="its last quote is not closed"):
            list(func.csv_reader(header=False)(io.BytesIO(data), None, "a.csv"))

    @pytest.mark.parametrize("lines", [1, 300_000])
    def test_wherever_in_a_large_file(self, lines: int) -> None:
        data = b"k,v\n" + b'\xc3\xa9,"2\r\n"\r\n' * lines + b"1\r\n" + b"3,4\r\n" * 100_000
        with pytest.raises(BadEntryError, match=rf"byte {4 + lines * 10}: 1 columns"):
            list(func.csv_reader()(io.BytesIO(data), None, "a.csv"))

    def test_another_kind_of_file_is_refused(self) -> None:
        with pytest.raises(WrongContent, match=r'func.text_reader\("utf-16"\)'):
            list(func.csv_reader()(io.BytesIO("a,b\n".encode("utf-16")), None, "a.csv"))
        with pytest.raises(WrongContent, match="no utf-16 text"):
            list(func.csv_reader(encoding="utf-16")(io.BytesIO(b"\xff\xfea"), None, "a.csv"))
