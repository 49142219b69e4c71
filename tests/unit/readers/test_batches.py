"""Batches of CSV and JSON lines: the rows of the readers by rows, in columns; in pieces of any size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from disco_rq import func
from disco_rq.errors import BadEntryError, WrongContent
from tests.unit.readers.pieces import planned, read

RECORDS = "n,text\n" + "".join(f'{i},"two\nlines, {i}"\n' for i in range(25_000))
LINES = "".join(f'{{"n": {i}, "deep": {{"a": [{i}]}}}}\n' for i in range(25_000))


@pytest.mark.parametrize("size", [None, 20_000])
@pytest.mark.parametrize(
    ("text", "rows", "batches"),
    [(RECORDS, func.csv_reader(), func.csv_batches()), (LINES, func.jsonl_reader(), func.jsonl_batches())],
)
def test_rows_are_those_of_the_reader_by_rows(
    tmp_path: Path, text: str, rows: Any, batches: Any, size: int | None
) -> None:
    path = tmp_path / "a"
    path.write_text(text)
    assert (len(planned(path, batches, size)) > 1) == (size is not None)
    found = read(path, batches, size)
    assert all(isinstance(batch, pa.RecordBatch) and 0 < batch.num_rows <= 10_000 for batch in found)
    assert [row for batch in found for row in batch.to_pylist()] == read(path, rows)


def test_columns_of_csv_are_text_wherever_a_file_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b\n" + "1,\n" * 100 + "x,2.5\n" * 100)
    schemas = {tuple(batch.schema.types) for batch in read(path, func.csv_batches(), 50)}
    assert schemas == {(pa.string(), pa.string())}


def test_a_key_that_a_line_lacks_is_null(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1}\n\n{"b": "x"}\n')
    [batch] = read(path, func.jsonl_batches())
    assert batch.to_pylist() == [{"a": 1, "b": None}, {"a": None, "b": "x"}]


@pytest.mark.parametrize("size", [None, 8, 16])
@pytest.mark.parametrize("text", ["{}\n", "{}\n{}\n{}", '{"a": 1}\n{}\n{}\n', '{}\n{}\n{}\n{}\n{"a": 1}\n'])
def test_an_object_without_keys_is_a_row_though_its_batch_has_no_columns(
    tmp_path: Path, text: str, size: int | None
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(text)
    found = read(path, func.jsonl_batches(), size)
    assert sum(batch.num_rows for batch in found) == text.count("{")
    rows = [row for batch in found for row in batch.to_pylist()]
    assert [{name: value for name, value in row.items() if value} for row in rows] == read(
        path, func.jsonl_reader(), size
    )


@pytest.mark.parametrize(
    ("data", "reader", "error", "told"),
    [
        (b"a,b\n1\n", func.csv_batches(), BadEntryError, "byte 4: 1 columns, the header has 2"),
        (b"a\n\xff\n", func.csv_batches(), WrongContent, "bytes that are no utf-8 text"),
        (b"{\n", func.jsonl_batches(), BadEntryError, "byte 0: no JSON"),
        (b"[1]\n", func.jsonl_batches(), WrongContent, "holds a list in a line"),
        (b'{"a": 1}\n{"a": "x"}\n', func.jsonl_batches(), WrongContent, "values of 'a' are of no one type"),
    ],
)
def test_what_no_column_takes_is_named(
    tmp_path: Path, data: bytes, reader: Any, error: type[Exception], told: str
) -> None:
    path = tmp_path / "a"
    path.write_bytes(data)
    with pytest.raises(error, match=f"{path}.*{told}"):
        read(path, reader)


def test_columns_need_names() -> None:
    with pytest.raises(ValueError, match=r"csv_batches\(header=False\)"):
        func.csv_batches(header=False)
    with pytest.raises(ValueError, match=r"csv_batches\(delimiter="):
        func.csv_batches(delimiter="")
