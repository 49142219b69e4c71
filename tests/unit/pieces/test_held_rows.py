"""Rows that a join holds: all of them, again and again, most of them in a file."""

from __future__ import annotations

import tracemalloc

import pytest

from disco_rq.pieces.joining import HeldRows

LIMIT = 1 << 20


@pytest.mark.parametrize("number", [0, 1, 15, 16, 10_000])
def test_all_rows_come_again_and_again_in_their_order(number: int) -> None:
    with HeldRows(LIMIT) as rows:
        for row in range(number):
            rows.add((row, "x" * (row % 700)))
        expected = [(row, "x" * (row % 700)) for row in range(number)]
        assert bool(rows) == (number > 0)
        assert list(rows) == list(rows) == expected


def test_many_rows_take_no_more_memory_than_the_limit() -> None:
    tracemalloc.start()
    try:
        with HeldRows(LIMIT) as rows:
            for row in range(2_000):
                rows.add(str(row) * 10)
            for row in range(6_000):  # large ones after small ones
                rows.add(str(row) * 1_000)
            assert sum(1 for _ in rows) == 8_000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * LIMIT  # of 23 MB; a block is packed, and one unpacked
