"""Results as tables: ``to_arrow``, ``to_pandas``, ``to_polars``."""

from __future__ import annotations

import datetime
import importlib
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow
import pytest

from disco_rq import Disco, DiscoError, JobError, RecordTypeError, local
from disco_rq.client import tables
from tests.cluster.small_jobs import run

NOON = datetime.datetime(2026, 11, 29, 12, tzinfo=datetime.UTC)


def give(values: list[Any]) -> Any:
    """A map that gives out the values under the number of each."""
    return lambda entry, params: list(enumerate(values))


def arrow_of(*values: Any) -> Any:
    return local.run("table", ["raw://x"], map=give(list(values))).to_arrow()


def test_pairs_of_all_results_in_order(disco: Disco) -> None:
    job = disco.new_job("table", ["raw://a", "raw://b"], map=lambda entry, params: [(entry, 1), (entry, 2)])

    for table in (job.to_arrow(), disco.to_arrow(job.name)):
        assert table.to_pydict() == {"key": ["a", "a", "b", "b"], "value": [1, 2, 1, 2]}


@pytest.mark.parametrize("format", ["jsonl.gz", "parquet", "msgpack"])
def test_saved_results_too(disco: Disco, tmp_path: Path, format: str) -> None:
    job = run(disco, map=give([1, 2]), save=tmp_path, save_format=format, save_by=lambda k, v: f"n={v}")

    assert job.to_arrow().to_pydict() == {"key": [0, 1], "value": [1, 2]}


def test_dicts_have_a_column_for_each_name() -> None:
    table = arrow_of({"n": 1}, None, {"n": 2, "day": NOON}, {}, {"key": "k"})

    assert table.to_pydict() == {
        "key": [0, 1, 2, 3, 4],
        "n": [1, None, 2, None, None],
        "day": [None, None, NOON, None, None],
        "value.key": [None, None, None, None, "k"],
    }


def test_values_that_are_none_or_not_there_are_none_in_a_table() -> None:
    assert arrow_of({"a": None, "b": 1}, {"b": 2}).column("a").to_pylist() == [None, None]


def test_types_that_arrow_does_not_have_are_the_nearest() -> None:
    table = arrow_of({"id": UUID(int=1), "big": 1 << 70, "tags": {1}, "at": (1, "a")})

    assert table.to_pylist() == [
        {"key": 0, "id": str(UUID(int=1)), "big": 1 << 70, "tags": [1], "at": {"_0": 1, "_1": "a"}}
    ]


def test_a_result_with_no_pairs_is_a_table_with_no_rows() -> None:
    assert arrow_of().to_pydict() == {"key": [], "value": []}


def test_many_pairs_come_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_ROWS", 10)
    table = arrow_of(*range(95))

    assert table.column("value").num_chunks == 10
    assert table.column("value").to_pylist() == list(range(95))


def test_what_one_column_does_not_hold_is_named() -> None:
    with pytest.raises(RecordTypeError, match=r"value with the type str in one column with int \(of key 1\)"):
        arrow_of(1, "a")
    with pytest.raises(RecordTypeError, match=r"two columns with the name 'value.key'"):
        arrow_of({"key": 1, "value.key": 2})


def test_a_job_that_died_has_no_table(disco: Disco) -> None:
    job = disco.new_job("dies", ["raw://x"], map=lambda entry, params: [(entry, 1 / 0)])
    with pytest.raises(JobError, match="ZeroDivisionError"):
        job.to_arrow()


def test_a_frame_of_pandas() -> None:
    pandas = pytest.importorskip("pandas")
    job = local.run("table", ["raw://x"], map=give([{"n": 1, "t": NOON, "ok": True}, {"n": (1 << 60) + 1}]))

    frame = job.to_pandas()

    assert list(frame.columns) == ["key", "n", "t", "ok"]
    assert frame["n"].tolist() == [1, (1 << 60) + 1]
    assert str(frame["key"].dtype) == "int64"
    assert str(frame["ok"].dtype) == "boolean"
    assert frame["t"][0] == NOON
    assert frame["t"][1] is pandas.NaT


@pytest.mark.parametrize("value", [10**40, [Decimal("1E+40"), Decimal("0.1")], {"n": [10**40]}])
def test_numbers_that_polars_does_not_hold_are_told(value: Any) -> None:
    pytest.importorskip("polars")
    job = local.run("table", ["raw://x"], map=give([value]))

    with pytest.raises(RecordTypeError, match=r"polars does not hold numbers of more than 38 digits"):
        job.to_polars()


def test_a_frame_of_polars() -> None:
    pytest.importorskip("polars")
    job = local.run("table", ["raw://x"], map=give([1, 2]))

    assert job.to_polars().to_dicts() == [{"key": 0, "value": 1}, {"key": 1, "value": 2}]


@pytest.mark.parametrize(
    ("method", "module", "extra"),
    [("to_arrow", "pyarrow", "arrow"), ("to_pandas", "pandas", "pandas"), ("to_polars", "polars", "polars")],
)
def test_a_missing_package_is_told_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch, method: str, module: str, extra: str
) -> None:
    job = local.run("table", ["raw://x"], map=give([1]))

    def without(name: str) -> Any:
        if name == module:
            raise ModuleNotFoundError(name)
        return pyarrow

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(DiscoError, match=rf"this needs {module}: pip install 'disco-rq\[{extra}\]'"):
        getattr(job, method)()
