"""Ready-made readers in whole jobs: on a cluster, in this process, from the web and from S3."""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from disco_rq import Disco, func, local, result_iterator
from disco_rq.runtime import skip_entry
from tests.cluster.s3server import s3_server
from tests.cluster.small_jobs import death, pairs, run
from tests.cluster.test_example_programs import run_program

ROWS = [{"n": str(i), "text": f'line "{i}"\nof é'} for i in range(2000)]


def csv_bytes() -> bytes:
    records = (f'{row["n"]},"{row["text"].replace(chr(34), chr(34) * 2)}"\r\n' for row in ROWS)
    return ("n,text\r\n" + "".join(records)).encode()


def jsonl_bytes() -> bytes:
    return "".join(
        f'{{"n": "{row["n"]}", "text": "line \\"{row["n"]}\\"\\nof é"}}\n' for row in ROWS
    ).encode()


def parquet_bytes() -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(ROWS), out, row_group_size=100)
    return out.getvalue()


KINDS: dict[str, tuple[bytes, Any]] = {
    "csv": (csv_bytes(), func.csv_reader()),
    "jsonl": (jsonl_bytes(), func.jsonl_reader()),
    "parquet": (parquet_bytes(), func.parquet_reader()),
}
EXPECTED = [(row["n"], row["text"]) for row in ROWS]


def row_pair(row: dict[str, str], params: Any) -> list[tuple[str, str]]:
    return [(row["n"], row["text"])]


@pytest.fixture(scope="module", params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("split_size", [None, 7000])
def test_rows_come_once_and_in_order_whole_and_in_pieces(
    disco: Disco, tmp_path: Path, kind: str, split_size: int | None
) -> None:
    data, reader = KINDS[kind]
    path = tmp_path / f"a.{kind}"
    path.write_bytes(data)
    job = run(disco, input=[str(path)], map=row_pair, map_reader=reader, split_size=split_size)
    assert pairs(job) == EXPECTED
    assert (sum(job.jobinfo()["mapi"]) > 1) == (split_size is not None)
    here = local.run("here", [str(path)], map=row_pair, map_reader=reader, split_size=split_size)
    assert list(result_iterator(here.wait())) == EXPECTED


def test_from_the_web_also_without_ranges(disco: Disco, tmp_path: Path, web: str, kind: str) -> None:
    data, reader = KINDS[kind]
    (tmp_path / "a").write_bytes(data)
    job = run(disco, input=[f"{web}/a"], map=row_pair, map_reader=reader, split_size=7000)
    assert pairs(job) == EXPECTED


def test_from_s3(tmp_path: Path) -> None:
    with s3_server(tmp_path / "log") as s3, Disco(workers=1) as disco:  # a cluster that knows the server
        for kind, (data, reader) in KINDS.items():
            [address] = s3.put({f"a.{kind}": data})
            job = run(disco, input=[address], map=row_pair, map_reader=reader, split_size=7000)
            assert pairs(job) == EXPECTED
            assert (sum(job.jobinfo()["mapi"]) > 1) == (kind != "csv")


def test_a_bad_entry_ends_the_job_with_its_file_and_byte(disco: Disco, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"n": "1", "text": ""}\nno\n')
    told = death(disco, input=[str(path)], map=row_pair, map_reader=func.jsonl_reader())
    assert f"BadEntryError: {path}, byte 23: no JSON: " in told
    assert "Traceback" not in told


def test_a_map_that_skips_an_entry_ends_the_job_also_if_it_catches_the_error(disco: Disco) -> None:
    def skips(entry: str, params: Any) -> None:
        with contextlib.suppress(Exception):
            skip_entry(entry, "no good")

    told = death(disco, input=["raw://entry"], map=skips)
    assert "BadEntryError: raw://entry, byte 0: no good: 'entry'" in told


def test_the_example_gives_the_numbers_of_each_group(disco: Disco, tmp_path: Path) -> None:
    path = tmp_path / "sales.jsonl"
    path.write_text(
        '{"to": "de", "eur": 1}\n{"to": "de", "eur": 2.5}\n{"to": "fr", "eur": 4}\n{"to": "fr"}\n'
    )

    lines, _ = run_program(disco, "jsonl_stats", "-p", "group=to", "-p", "field=eur", str(path))

    assert sorted(lines) == [
        "de\t{'count': 2, 'mean': 1.75, 'min': 1, 'max': 2.5}",
        "fr\t{'count': 1, 'mean': 4.0, 'min': 4, 'max': 4}",
    ]
