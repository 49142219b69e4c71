"""The shipped examples do what they say, on a real cluster."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from disco_rq import Disco, Job, result_iterator
from disco_rq.cli.program import load_program

LOG = """\
10.0.0.1 - - [23/Nov/2026:21:59:59 +0100] "GET /index.html?a=1 HTTP/1.1" 200 512 "-" "curl/8"
10.0.0.2 - kim [23/Nov/2026:20:10:00 +0000] "GET /index.html HTTP/1.1" 404 88 "http://x/" "Mozilla \\"5\\""
10.0.0.2 - - [23/Nov/2026:21:10:00 +0000] "GET /index.html HTTP/2.0" 304 - "-" "-"
10.0.0.3 - - [23/Nov/2026:21:10:01 +0000] "POST /form HTTP/1.1" 500 7
::1 - - [23/Nov/2026:21:10:02 +0000] "" 400 0 "-" "-"
10.0.0.4 - - [99/Nov/2026:21:10:02 +0000] "GET / HTTP/1.1" 200 1 "-" "-"
this is no line of a log
10.0.0.5 - - [23/Nov/2026:21:1
"""


@pytest.fixture(scope="module")
def disco() -> Iterator[Disco]:
    with Disco(workers=2) as running:
        yield running


def run_example(disco: Disco, name: str, *inputs: Path) -> Job:
    program = load_program(f"disco_rq.examples.{name}")
    job = disco.new_job(program.name, [str(path) for path in inputs], **program.arguments)
    job.wait()
    return job


def results_of(job: Job) -> dict[object, object]:
    return dict(result_iterator(job.wait()))


def test_access_log_sums_by_path_and_hour_in_utc(disco: Disco, tmp_path: Path) -> None:
    (tmp_path / "access.log").write_text(LOG)

    job = run_example(disco, "access_log", tmp_path / "access.log")

    assert results_of(job) == {
        ("/index.html", "2026-11-23T20"): {"requests": 2, "errors": 1, "bytes": 600},
        ("/index.html", "2026-11-23T21"): {"requests": 1, "errors": 0, "bytes": 0},
        ("/form", "2026-11-23T21"): {"requests": 1, "errors": 1, "bytes": 7},
        ("(no request)", "2026-11-23T21"): {"requests": 1, "errors": 1, "bytes": 0},
    }


def test_access_log_counts_bad_lines_and_goes_on(disco: Disco, tmp_path: Path) -> None:
    (tmp_path / "access.log").write_bytes(LOG.encode() + b"\xff\xfe\x00 binary\n")

    job = run_example(disco, "access_log", tmp_path / "access.log")

    assert job.jobinfo()["counters"]["bad_lines"] == 4


def test_access_log_puts_its_totals(disco: Disco, tmp_path: Path) -> None:
    (tmp_path / "access.log").write_text(LOG)

    job = run_example(disco, "access_log", tmp_path / "access.log")

    totals = [job.oob_get(key) for key in job.oob_list() if key.startswith("total:")]
    assert sum(total["requests"] for total in totals) == 5
    busiest = [job.oob_get(key) for key in job.oob_list() if key.startswith("busiest:")]
    assert max(entry["requests"] for entry in busiest) == 2


def test_wordcount_counts_and_puts_what_it_counted(disco: Disco, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("The cat, the dog.\n")
    (tmp_path / "b.txt").write_text("A cat!\n")

    job = run_example(disco, "wordcount", tmp_path / "a.txt", tmp_path / "b.txt")

    assert results_of(job) == {"the": 2, "cat": 2, "dog": 1, "a": 1}
    assert job.jobinfo()["counters"]["words"] == 6
    assert job.oob_get("inputs:map:0") == [str(tmp_path / "a.txt")]
    reduces = [job.oob_get(key) for key in job.oob_list() if key.startswith("words:reduce:")]
    assert sum(entry["distinct"] for entry in reduces) == 4
    assert sum(entry["total"] for entry in reduces) == 6


def test_the_demo_checks_its_counts_and_tells_what_happened() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "disco_rq.examples.demo"], capture_output=True, text=True, timeout=100
    )

    assert done.returncode == 0, done.stderr
    assert "found the same counts" in done.stdout
    assert "words:reduce:0" in done.stdout
    assert "records/s" in done.stdout
