"""Pieces of line-based files: every line is read exactly once, whatever the sizes."""

from __future__ import annotations

import io
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disco_rq.errors import DataError
from disco_rq.inputs import open_input
from disco_rq.inputs.pieces import Window, cut, own_lines
from disco_rq.model import Input

lines = st.lists(st.one_of(st.binary(max_size=3), st.sampled_from([b"", b"x" * 200, b"\r", b"0123456789"])))
contents = st.tuples(lines, st.booleans()).map(lambda t: b"\n".join(t[0]) + (b"\n" if t[1] else b""))


@given(contents, st.integers(1, 300))
def test_every_line_is_read_once_and_in_order(content: bytes, piece_size: int) -> None:
    file = io.BytesIO(content)
    pieces = []
    for start, length in cut(len(content), piece_size):
        first, stop = own_lines(file, start, length, len(content))
        pieces.append(content[first:stop])

    assert b"".join(pieces) == content
    assert all(piece.endswith(b"\n") for piece in pieces[:-1] if piece and not content.endswith(piece))
    assert sum(len(io.BytesIO(piece).readlines()) for piece in pieces) == len(io.BytesIO(content).readlines())


@given(contents, st.lists(st.integers(0, 400), max_size=6))
def test_a_piece_owns_the_lines_that_start_in_it(content: bytes, cuts: list[int]) -> None:
    size = len(content)
    borders = sorted({min(c, size) for c in cuts} | {0, size})
    starts = [0, *(i + 1 for i, byte in enumerate(content) if byte == 10 and i + 1 < size)]
    for start, end in pairwise(borders):
        first, stop = own_lines(io.BytesIO(content), start, end - start, size)
        owned = [s for s in starts if start <= s < end]
        ends = [*starts[1:], size]
        expected = b"".join(content[s : ends[starts.index(s)]] for s in owned)
        assert content[first:stop] == expected


def test_pieces_are_of_even_size_and_at_most_what_was_asked() -> None:
    assert cut(100, 100) == [(0, None)]
    assert cut(101, 100) == [(0, 50), (50, None)]
    assert cut(0, 10) == [(0, None)]
    assert cut(10, 3) == [(0, 2), (2, 3), (5, 2), (7, None)]


def test_one_endless_line_costs_one_pass_over_the_file_not_one_a_piece() -> None:
    class Counting(io.BytesIO):
        count = 0

        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            self.count += len(data)
            return data

    file = Counting(b"x" * 1_000_000)
    for start, length in cut(1_000_000, 10_000):
        own_lines(file, start, length, 1_000_000)

    assert file.count <= 2_100_000


def test_a_piece_of_a_file_is_opened_at_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\ntwo\nthree\nfour\n")
    with open_input(Input(str(path), 5, 5)) as (fd, size):
        assert (fd.read(), size) == (b"three\n", 6)
    with open_input(Input(str(path), 9, None)) as (fd, size):
        assert (list(fd), size) == ([b"four\n"], 5)
    with open_input(Input(str(path), 9, 2)) as (fd, size):
        assert (fd.read(), size) == (b"", 0)


def test_a_window_seeks_within_itself() -> None:
    source = io.BytesIO(b"0123456789")
    source.seek(2)
    with io.BufferedReader(Window(source, start=2, length=5, convert=lambda error: error)) as window:
        assert window.read() == b"23456"
        assert window.seek(-2, io.SEEK_END) == 3
        assert window.read() == b"56"
        assert window.seek(1) == 1
        assert window.read(2) == b"34"


def test_a_file_that_has_become_shorter_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"x" * 1_000_000)
    with open_input(Input(str(path))) as (fd, _):
        fd.read(10)
        path.write_bytes(b"")
        with pytest.raises(DataError, match=r"a\.txt: the file ends after \d+ bytes"):
            fd.read()
