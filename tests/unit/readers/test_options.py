"""Options of the ready-made readers: a wrong one is told by its name, a reader travels with its options."""

from __future__ import annotations

import importlib.util
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from disco_rq import func
from disco_rq.client.submission import build
from disco_rq.errors import JobArgumentError


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: func.csv_reader(delimiter=";;"), r"csv_reader\(delimiter=';;'\): it takes one character"),
        (lambda: func.csv_reader(delimiter="\n"), r"csv_reader\(delimiter="),
        (lambda: func.csv_reader(delimiter="é"), r"csv_reader\(delimiter="),
        (lambda: func.csv_reader(delimiter=b";"), r"csv_reader\(delimiter="),  # type: ignore[arg-type]
        (lambda: func.csv_reader(quotechar=""), r"csv_reader\(quotechar="),
        (lambda: func.csv_reader(quotechar=","), r"csv_reader\(quotechar=','\): that is the delimiter"),
        (lambda: func.csv_reader(encoding="utf-99"), r"csv_reader\(encoding='utf-99'\): there is no such"),
        (lambda: func.csv_reader(encoding="rot13"), r"csv_reader\(encoding='rot13'\): there is no such"),
        (lambda: func.csv_reader(header="a,b"), r"csv_reader\(header='a,b'\): it takes a list of names"),
        (lambda: func.csv_reader(header=["a", "a"]), r"csv_reader\(header=…\): 'a' is there twice"),
        (lambda: func.csv_reader(header=[]), r"csv_reader\(header=\[\]\)"),
        (lambda: func.csv_reader(header=["a", 1]), r"csv_reader\(header=…\): a name is a str, not 1"),  # type: ignore[list-item]
        (lambda: func.parquet_reader(columns="a"), r"parquet_reader\(columns='a'\): it takes a list"),
        (lambda: func.parquet_batches(columns=[]), r"parquet_batches\(columns=\[\]\)"),
    ],
)
def test_a_wrong_option_is_named(make: Callable[[], Any], told: str) -> None:
    with pytest.raises((ValueError, TypeError), match=told):
        make()


@pytest.mark.parametrize(
    "reader",
    [
        func.csv_reader(header=["a"], delimiter="\t"),
        func.jsonl_reader(),
        func.parquet_reader(columns=["a"]),
        func.parquet_batches(),
        func.file_reader(),
        func.text_reader("cp1252"),
        func.bytes_lines(),
    ],
)
def test_a_reader_travels_with_its_options(reader: Any) -> None:
    assert pickle.loads(pickle.dumps(reader)) == reader
    assert build("job", ["raw://a"], {"map": func.nop_map, "map_reader": reader}, signer=None)


def test_a_package_that_is_missing_is_told_at_submit(monkeypatch: pytest.MonkeyPatch) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pyarrow" else there(name))
    arguments = {"map": func.nop_map, "map_reader": func.parquet_reader()}
    with pytest.raises(JobArgumentError, match=r"ParquetReader.* pip install 'disco-rq\[arrow\]'"):
        build("job", ["raw://a"], arguments, signer=None)


def test_the_nodes_are_asked_for_it() -> None:
    arguments = {"map": func.nop_map, "map_reader": func.parquet_reader()}
    assert "pyarrow" in build("job", ["raw://a"], arguments, signer=None).modules
