"""Saved results of every format: read by whatever names them, and a fit input of the next job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from disco_rq import Disco, JobError, UnknownJob, func, local, result_iterator
from tests.cluster.small_jobs import run

PAIRS = [("a", "1"), ("b", "x y"), ("ä", "")]
AS_PAIR = [{"key": key, "value": value} for key, value in PAIRS]
READERS: dict[str, tuple[Any, list[Any]]] = {
    "msgpack": (func.chain_reader, PAIRS),
    "jsonl": (func.jsonl_reader(), AS_PAIR),
    "text": (func.map_line_reader, [f"{key}\t{value}" for key, value in PAIRS]),
    "csv": (func.csv_reader(), AS_PAIR),
    "parquet": (func.parquet_reader(), AS_PAIR),
}
"""What reads a saved file of the format in a job, and its entries."""


def give_out(entry: str, params: Any) -> list[tuple[str, str]]:
    return PAIRS


def keep(entry: Any, params: Any) -> list[tuple[Any, int]]:
    return [(entry, 1)]


FORMATS = [
    "msgpack",
    "jsonl",
    "text",
    "csv",
    "parquet",
    "jsonl.gz",
    "text.gz",
    "csv.gz",
    "jsonl.zst",
    "csv.zst",
]


@pytest.mark.parametrize("format", FORMATS)
def test_a_saved_result_is_the_input_of_the_next_job(disco: Disco, tmp_path: Path, format: str) -> None:
    """By its directory, as others would name it; on a cluster and in this process."""
    reader, entries = READERS[format.partition(".")[0]]
    first = run(disco, input=["raw://1", "raw://2"], map=give_out, save=tmp_path, save_format=format)
    directory = str(tmp_path / first.name)

    second = run(disco, input=[directory], map=keep, map_reader=reader)
    alone = local.run("second", [directory], map=keep, map_reader=reader)

    assert [entry for entry, _ in result_iterator(second)] == entries * 2
    assert [entry for entry, _ in result_iterator(alone)] == entries * 2


@pytest.mark.parametrize("format", FORMATS)
def test_a_local_job_saves_the_same(tmp_path: Path, format: str) -> None:
    job = local.run("first", ["raw://1"], map=give_out, save=tmp_path, save_format=format)

    assert list(result_iterator(tmp_path / job.name)) == PAIRS
    assert list(result_iterator(job)) == PAIRS


@pytest.mark.parametrize("save", [True, False])
def test_a_job_and_its_name_stand_for_its_results_in_order(
    disco: Disco, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, save: bool
) -> None:
    monkeypatch.setenv("DISCO_RQ_REDIS", disco.url)
    where: dict[str, Any] = {"save": tmp_path} if save else {}
    job = disco.new_job("named", [f"raw://{i}" for i in range(5)], map=lambda i, _: [(i, i)], **where)
    expected = [(str(i), str(i)) for i in range(5)]

    assert list(result_iterator(job)) == expected
    assert list(result_iterator(job.name)) == expected
    if save:
        assert list(result_iterator(str(tmp_path / job.name / "*.disco"))) == expected


def test_a_job_that_died_or_that_nobody_knows_has_no_results(
    disco: Disco, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISCO_RQ_REDIS", disco.url)
    job = disco.new_job("dies", ["raw://1"], map=lambda entry, params: [(entry, 1 / 0)])

    with pytest.raises(JobError, match="ZeroDivisionError"):
        list(result_iterator(job))
    with pytest.raises(JobError, match="ZeroDivisionError"):
        list(result_iterator(job.name))
    with pytest.raises(UnknownJob, match="other@20261129-120000-a1b2"):
        list(result_iterator("other@20261129-120000-a1b2"))
