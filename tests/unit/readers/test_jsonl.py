"""JSON lines: what Python's ``json`` reads, whole and in pieces of any size; or an error with the place."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from disco_rq import func
from disco_rq.errors import BadEntryError, WrongContent
from tests.unit.readers.pieces import planned, read

SIZES = (None, 1, 2, 7, 30)
LINES = [
    b"",
    b"  \t",
    b"\r",
    b"1",
    b" {} \r",
    b"NaN",
    b'[NaN, -Infinity, {"a": Infinity}]',
    b"1e400",
    b"-0",
    b"-0.0",
    b"0.1e-400",
    b"123456789012345678901234567890",
    b"-9223372036854775809",
    b'"\\ud800"',
    b'"\\u0000\\ud83d\\ude00"',
    b'"\xe2\x80\xa8\xc3\xa9"',
    b'{"a": 1, "a": 2}',
    b"[" * 200 + b"]" * 200,
    b'"' + b"x" * 300_000 + b'"',
    b"null",
]

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def expected(data: bytes) -> list[Any]:
    return [json.loads(line.decode()) for line in data.split(b"\n") if line.strip()]


def same(one: list[Any], other: list[Any]) -> bool:
    """Equal, types, signs and NaN included."""
    return repr(one) == repr(other)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("end", [b"\n", b""])
@pytest.mark.parametrize("lines", [LINES, LINES[::-1], *([line] for line in LINES)])
def test_lines_are_read_as_json_reads_them(
    tmp_path: Path, lines: list[bytes], end: bytes, size: int | None
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\n".join(lines) + end)
    if size is None or len(lines) == 1 or size >= 30:
        assert same(read(path, func.jsonl_reader(), size and size * 1000), expected(path.read_bytes()))


@settings(max_examples=60, deadline=None)
@given(st.lists(values, max_size=8), st.sampled_from(["\n", "\r\n", "\n\n"]), st.booleans())
def test_of_any_values(
    tmp_path_factory: pytest.TempPathFactory, given: list[Any], end: str, has_mark: bool
) -> None:
    path = tmp_path_factory.mktemp("jsonl") / "a.jsonl"
    text = end.join(json.dumps(value, ensure_ascii=False) for value in given)
    try:
        path.write_bytes((b"\xef\xbb\xbf" if has_mark else b"") + text.encode())
    except UnicodeEncodeError:  # half of a surrogate pair
        path.write_text(end.join(json.dumps(value) for value in given), newline="")
    for size in SIZES:
        assert same(read(path, func.jsonl_reader(), size), given)


@pytest.mark.parametrize(
    "line",
    [b"{", b"1 2", b'{"a":', b"'a'", b"01", b"\xff", b'"\xff"', b"[" * 100_000, b"1" * 5000, b"1\0", b"nan"],
)
@pytest.mark.parametrize("size", [None, 12])
def test_what_is_no_json_is_named_with_its_byte(tmp_path: Path, line: bytes, size: int | None) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n\r\n' + line + b"\n1}\n2\n")
    with pytest.raises(BadEntryError, match=r"a\.jsonl, byte 15: no JSON: .*: [\"']"):
        read(path, func.jsonl_reader(), size)


def test_a_value_over_two_lines_is_two_bad_entries_and_no_value() -> None:
    with pytest.raises(BadEntryError, match="byte 0: no JSON"):
        list(func.jsonl_reader()(io.BytesIO(b'{"a":\n1}\n1 2\n'), None, "a.jsonl"))


def test_files_are_cut_on_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(f'{{"n": {i}}}\n' for i in range(1000)))
    assert len(planned(path, func.jsonl_reader(), 1000)) == 11
    assert read(path, func.jsonl_reader(), 1000) == [{"n": i} for i in range(1000)]


def test_a_bad_line_deep_in_a_file_is_named_with_its_byte() -> None:
    data = b'{"a": 1}\r\n' * 200_000 + b"no\n"
    with pytest.raises(BadEntryError, match="byte 2000000: no JSON"):
        list(func.jsonl_reader()(io.BytesIO(data), None, "a.jsonl"))


def test_other_files_are_refused_with_what_reads_them() -> None:
    with pytest.raises(WrongContent, match=r"UTF-16 text"):
        list(func.jsonl_reader()(io.BytesIO("1\n".encode("utf-16")), None, "a.jsonl"))


def test_a_file_as_one_entry(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"\0\n" * 1000)
    assert read(path, func.file_reader(), 10) == [b"\0\n" * 1000]
    path.write_bytes(b"")
    assert read(path, func.file_reader(), 10) == [b""]
