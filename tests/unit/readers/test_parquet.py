"""Parquet: rows and batches, whole and by row groups; what is damaged or no Parquet is refused."""

from __future__ import annotations

import gzip
import io
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from disco_rq import func
from disco_rq.errors import TaskError, WrongContent
from disco_rq.inputs import open_input
from tests.unit.readers.pieces import planned, read, read_pieces

ROWS: list[dict[str, Any]] = [
    {
        "n": i,
        "text": f"é{i}" if i % 3 else None,
        "list": [i, None],
        "at": datetime(2026, 11, 29, tzinfo=UTC),
        "day": date(2026, 11, 29),
        "price": Decimal("1.50"),
        "deep": {"a": [{"b": i}]},
    }
    for i in range(1000)
]


def written(path: Path, rows: list[dict[str, Any]] = ROWS, **options: Any) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path, **options)
    return path


@pytest.mark.parametrize("size", [None, 1, 1000, 5000])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"row_group_size": 100},
        {"row_group_size": 7, "compression": "zstd", "use_dictionary": False},
        {"row_group_size": 100, "version": "1.0", "data_page_version": "2.0", "compression": "gzip"},
    ],
)
def test_rows_are_those_that_were_written(tmp_path: Path, options: dict[str, Any], size: int | None) -> None:
    path = written(tmp_path / "a.parquet", **options)
    expected = pq.read_table(path).to_pylist()
    assert read(path, func.parquet_reader(), size) == expected
    batches = read(path, func.parquet_batches(), size)
    assert pa.Table.from_batches(batches).to_pylist() == expected
    assert read(path, func.parquet_reader(columns=["deep", "n"]), size) == [
        {"deep": row["deep"], "n": row["n"]} for row in expected
    ]


def test_pieces_are_row_groups(tmp_path: Path) -> None:
    path = written(tmp_path / "a.parquet", row_group_size=100)
    pieces = read_pieces(path, func.parquet_reader(["n"]), 1)
    assert [[row["n"] for row in piece] for piece in pieces] == [
        list(range(first, first + 100)) for first in range(0, 1000, 100)
    ]
    assert len(planned(path, func.parquet_reader(), path.stat().st_size // 2)) in (2, 3)


def test_no_rows_and_no_columns(tmp_path: Path) -> None:
    assert read(written(tmp_path / "a.parquet", ROWS[:0]), func.parquet_reader()) == []
    pq.write_table(pa.table({"a": pa.array([], pa.int64())}), tmp_path / "b.parquet")
    assert read(tmp_path / "b.parquet", func.parquet_reader(), 1) == []


def test_a_compressed_file_is_one_piece(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet.gz"
    path.write_bytes(gzip.compress(written(tmp_path / "a.parquet", row_group_size=10).read_bytes()))
    assert len(planned(path, func.parquet_reader(), 1)) == 1
    assert read(path, func.parquet_reader(), 1) == pq.read_table(tmp_path / "a.parquet").to_pylist()


def test_only_its_own_row_groups_are_read(tmp_path: Path) -> None:
    path = written(
        tmp_path / "a.parquet", [{"n": i, "x": "y" * 1000} for i in range(5000)], row_group_size=500
    )
    data = bytearray(path.read_bytes())
    pieces = planned(path, func.parquet_reader(), 1)
    data[pieces[5].start : pieces[6].start] = bytes(pieces[6].start - pieces[5].start)
    for number, piece in enumerate(pieces):
        with open_input(piece) as (fd, size):
            assert (size, fd.read()) == (len(data), path.read_bytes()), number


def test_a_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "a.parquet")
    with pytest.raises(WrongContent, match=r"a\.parquet has no column 'm'; it has 'n', 'text'"):
        read(path, func.parquet_reader(["n", "m"]))


@pytest.mark.parametrize("data", [b"", b"a,b\n", b"PAR1", b"PAR1" + b"\1" * 100 + b"PAR1"])
def test_what_is_no_parquet_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(data)
    for size in (None, 1):
        with pytest.raises(WrongContent, match=r"a\.parquet is no Parquet file, or it is damaged"):
            read(path, func.parquet_reader(), size)


def test_a_damaged_page_is_never_the_end(tmp_path: Path) -> None:
    path = written(tmp_path / "a.parquet", row_group_size=100, compression="zstd")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 400] = bytes(400)
    path.write_bytes(data)
    with pytest.raises(WrongContent, match="damaged"):
        read(path, func.parquet_reader())


def test_outside_a_task(tmp_path: Path) -> None:
    data = written(tmp_path / "a.parquet", row_group_size=100).read_bytes()
    assert list(func.parquet_reader(["n"])(io.BytesIO(data), len(data), "a")) == [
        {"n": i} for i in range(1000)
    ]


MOMENT = datetime(2026, 11, 29, 12, 0, 0, 5, UTC).replace(tzinfo=None)
NS = pa.timestamp("ns")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (NS, MOMENT),
        (pa.timestamp("ns", "UTC"), MOMENT.replace(tzinfo=UTC)),
        (pa.duration("ns"), timedelta(microseconds=5)),
        (pa.time64("ns"), time(1, 2, 3, 4)),
        (pa.list_(NS), [MOMENT, None]),
        (pa.struct([("at", NS), ("n", pa.int8())]), {"at": MOMENT, "n": 1}),
        (pa.map_(pa.string(), NS), [("a", MOMENT)]),
    ],
    ids=str,
)
def test_moments_of_nanoseconds_as_pandas_writes_them_come_as_pythons(
    tmp_path: Path, kind: Any, value: Any
) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"v": pa.array([value, None], kind)}), path)
    found = [row["v"] for row in read(path, func.parquet_reader(), None)]
    assert found == [value, None]
    assert type(found[0]) is type(value)


@pytest.mark.parametrize("kind", [NS, pa.duration("ns"), pa.time64("ns"), pa.list_(NS)], ids=str)
def test_nanoseconds_that_python_does_not_hold_are_an_error_that_names_the_column(
    tmp_path: Path, kind: Any
) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"v": pa.array([[1] if pa.types.is_list(kind) else 1], kind)}), path)
    with pytest.raises(TaskError, match="column 'v'"):
        read(path, func.parquet_reader(), None)
