"""Every ready-made reader on files of the web: in pieces where the server has ranges, else in one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from disco_rq import Disco, func, result_iterator
from tests.cluster.conftest import Rows
from tests.cluster.test_readers import EXPECTED, KINDS, row_pair
from tests.unit.inputs.webserver import WebFile, served

TEXT = "".join(f"{i}\té\n" for i in range(3000))
LATIN = func.text_reader("cp1252")


def fields(line: str, params: Any) -> list[tuple[str, str]]:
    number, letter = line.split("\t")
    return [(number, letter)]


def byte_fields(line: bytes, params: Any) -> list[tuple[str, str]]:
    return fields(line.decode(), params)


def batch_rows(batch: Any, params: Any) -> Iterator[tuple[str, str]]:
    for row in batch.to_pylist():
        yield row["n"], row["text"]


LINES = [(str(i), "é") for i in range(3000)]
READERS: dict[str, tuple[bytes, Any, Any, list[tuple[str, str]]]] = {
    "lines": (TEXT.encode(), func.map_line_reader, fields, LINES),
    "text": (TEXT.encode("cp1252"), LATIN, fields, LINES),
    "bytes": (TEXT.encode(), func.bytes_lines(), byte_fields, LINES),
    "csv, no quotes": (
        TEXT.encode(),
        func.csv_reader(header=False, delimiter="\t", quotechar=None),
        lambda record, params: [tuple(record)],
        LINES,
    ),
    "jsonl": (*KINDS["jsonl"], row_pair, EXPECTED),
    "jsonl batches": (KINDS["jsonl"][0], func.jsonl_batches(), batch_rows, EXPECTED),
    "parquet": (*KINDS["parquet"], row_pair, EXPECTED),
    "parquet batches": (KINDS["parquet"][0], func.parquet_batches(), batch_rows, EXPECTED),
}
WHOLE: dict[str, tuple[bytes, Any, Any, list[tuple[str, str]]]] = {  # the planner would read all of it
    "csv": (*KINDS["csv"], row_pair, EXPECTED),
    "csv batches": (KINDS["csv"][0], func.csv_batches(), batch_rows, EXPECTED),
}


@pytest.fixture(params=[True, False], ids=["ranges", "no ranges"])
def has_ranges(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.mark.parametrize("reader", [*READERS, *WHOLE])
def test_each_entry_comes_once_with_ranges_and_without(rows: Rows, reader: str, has_ranges: bool) -> None:
    content, how, map, expected = {**READERS, **WHOLE}[reader]
    headers = {"ETag": '"v1"'} | ({"Accept-Ranges": "bytes"} if has_ranges else {})
    with served(WebFile(content, headers, ranges=has_ranges)) as file:
        for split_size in (None, 7000):
            found = rows([file.url], map=map, map_reader=how, split_size=split_size, nr_reduces=1)
            assert sorted(found) == sorted(expected)


@pytest.mark.parametrize("reader", READERS)
def test_a_piece_asks_for_its_bytes(disco: Disco, reader: str) -> None:
    content, how, map, expected = READERS[reader]
    with served(WebFile(content, {"ETag": '"v1"', "Accept-Ranges": "bytes"})) as file:
        job = disco.new_job("pieces", [file.url], map=map, map_reader=how, split_size=7000)
        assert sorted(result_iterator(job.wait(timeout=60))) == sorted(expected)
        nr_maps = sum(job.jobinfo()["mapi"])
        starts = {asked for _, asked, _ in file.asked if asked and not asked.endswith("=0-0")}
        assert len(starts) >= nr_maps - 1 >= len(content) // 7000 - 1
