"""Web inputs through whole jobs: a server that fails, truncates, stalls, sends no length, and then works."""

from __future__ import annotations

import gzip
import io
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import pytest

from disco_rq import Disco
from disco_rq.errors import DataError
from disco_rq.inputs import open_input, plan_inputs
from disco_rq.model import Input
from disco_rq.runtime import counter, put, this_inputs
from tests.cluster.small_jobs import death, pairs, run

LINES = [f"line {i}" for i in range(5_000)]
TEXT = "".join(f"{line}\n" for line in LINES).encode()
SENT = 1000
"""So many bytes come before a server cuts off or stalls."""


class Server(ThreadingHTTPServer):
    """``/<fault>/<times>/<anything>``: so many GETs have the fault, those after them work."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.gets: dict[str, int] = {}
        self.ranges: list[str] = []
        self.may_end = threading.Event()
        self.lock = threading.Lock()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{path}"

    def count(self, path: str) -> int:
        """How often the path was asked for, this time included."""
        with self.lock:
            self.gets[path] = self.gets.get(path, 0) + 1
            return self.gets[path]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        fault = self.path.split("/")[1]
        body = gzip.compress(TEXT, mtime=0) if self.path.endswith(".gz") else TEXT
        self.answer(404 if fault == "missing" else 200, body, length=fault != "no-length")

    def do_GET(self) -> None:
        _, fault, times, name = self.path.split("/")
        if self.server.count(self.path) > int(times):
            return self.answer(200, gzip.compress(TEXT, mtime=0) if name.endswith(".gz") else TEXT)
        match fault:
            case "fails":
                self.answer(500, b"later")
            case "missing":
                self.answer(404, b"")
            case "truncates":
                self.answer(200, TEXT, sent=SENT)
            case "truncates-chunks":
                self.send_response(200)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                self.wfile.write(b"%x\r\n%b\r\n" % (SENT, TEXT[:SENT]))
            case "stalls":
                self.answer(200, TEXT, sent=SENT)
                self.server.may_end.wait(30)
            case "no-length":
                self.answer(200, TEXT, length=False)
            case "ranges":
                start = self.headers["Range"]
                self.server.ranges.append(start or "")
                self.answer(206 if start else 200, TEXT, start=int(start[6:-1]) if start else 0)
        return None

    def answer(
        self, status: int, body: bytes, *, sent: int | None = None, length: bool = True, start: int = 0
    ) -> None:
        self.send_response(status)
        if length:
            self.send_header("Content-Length", str(len(body) - start))
            self.send_header("Accept-Ranges", "bytes" if "/ranges/" in self.path else "none")
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.end_headers()
        if self.command == "GET":
            try:
                self.wfile.write(body[start : None if sent is None else sent])
                self.wfile.flush()
            except OSError:
                pass  # the reader has what it wanted


@pytest.fixture
def web() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.may_end.set()
        server.shutdown()
        thread.join()


def lines(line: str, params: Any) -> Iterator[tuple[str, str]]:
    counter("lines")
    if line == "line 0":
        put("read", this_inputs()[0])
    yield line, ""


def outcomes(job: Any, task: str = "map:0") -> list[str]:
    return [attempt["outcome"] for attempt in job.story(task)]


@pytest.mark.parametrize("fault", ["fails", "truncates", "truncates-chunks"])
def test_a_server_that_works_the_second_time(disco: Disco, web: Server, fault: str) -> None:
    """The task is run again, and nothing of the first attempt counts: each line is there once."""
    job = run(disco, input=[web.url(f"{fault}/1/a.txt")], map=lines)

    assert outcomes(job) == ["data", "done"]
    assert [line for line, _ in pairs(job)] == LINES
    assert job.jobinfo()["counters"] == {"lines": len(LINES)}
    assert job.oob_get("read") == web.url(f"{fault}/1/a.txt")


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("fails", "HTTP status 500 Internal Server Error"),
        ("truncates", f"cut off after {SENT} of {len(TEXT)} bytes"),
        ("truncates-chunks", "the transfer was cut off"),
    ],
)
def test_a_server_that_never_works_ends_the_job_by_name(
    disco: Disco, web: Server, fault: str, says: str
) -> None:
    url = web.url(f"{fault}/9/a.txt")

    told = death(disco, input=[url], map=lines, max_failures=1)

    assert f"DataError: cannot read {url}: {says}" in told
    assert "before, attempt 1 on" in told
    assert "Traceback" not in told


def test_a_server_that_stalls_runs_into_the_jobs_time_limit(disco: Disco, web: Server) -> None:
    url = web.url("stalls/1/a.txt")

    job = run(disco, input=[url], map=lines, task_timeout=0.5, task_retries=1)

    assert outcomes(job) == ["error", "done"]
    assert [line for line, _ in pairs(job)] == LINES


def test_a_server_that_stalls_is_noticed_and_named(web: Server) -> None:
    url = web.url("stalls/1/a.txt")

    with (
        pytest.raises(DataError, match=f"cannot read {url}: .*timed out"),
        open_input(Input(url), timeout_s=0.2) as (fd, _),
    ):
        fd.read()


def test_a_server_that_sends_no_length(disco: Disco, web: Server) -> None:
    def read_all(fd: Any, size: int | None, name: str) -> Iterator[Any]:
        yield size, len(fd.read())

    job = run(disco, input=[web.url("no-length/9/a.txt")], map=lambda e, params: [e], map_reader=read_all)

    assert pairs(job) == [(None, len(TEXT))]


def test_a_compressed_file_that_fails_once(disco: Disco, web: Server) -> None:
    job = run(disco, input=[web.url("fails/1/a.txt.gz")], map=lines)

    assert outcomes(job) == ["data", "done"]
    assert [line for line, _ in pairs(job)] == LINES


def test_a_server_with_ranges_is_read_in_pieces(disco: Disco, web: Server) -> None:
    job = run(disco, input=[web.url("ranges/999/a.txt")], map=lines, split_size=10_000)

    assert job.jobinfo()["mapi"][2] == len(
        plan_inputs([web.url("ranges/999/b")], line_based=True, split_size=10_000)
    )
    assert sorted(line for line, _ in pairs(job)) == sorted(LINES)
    assert len({start for start in web.ranges if start}) >= 4


def test_a_server_without_ranges_is_read_in_one(disco: Disco, web: Server) -> None:
    job = run(disco, input=[web.url("fails/0/a.txt")], map=lines, split_size=10_000)

    assert job.jobinfo()["mapi"][2] == 1
    assert [line for line, _ in pairs(job)] == LINES


# -- replicas


@pytest.mark.parametrize(
    ("fault", "ends"), [("fails", ["done"]), ("missing", ["done"]), ("truncates", ["data", "done"])]
)
def test_the_replica_that_failed_is_not_read_again(
    disco: Disco, web: Server, fault: str, ends: list[str]
) -> None:
    """One that cannot be opened costs no attempt; one that ends in the middle does."""
    bad, good = web.url(f"{fault}/9/bad"), web.url("fails/0/good")

    job = run(disco, input=[[bad, good]], map=lines)

    assert outcomes(job) == ends
    assert [line for line, _ in pairs(job)] == LINES
    at_submit = int(fault == "missing")  # HEAD says so: some servers say that of every file
    assert web.gets == {f"/{fault}/9/bad": 1 + at_submit, "/fails/0/good": 1}


def test_replicas_of_a_file_and_of_a_server(disco: Disco, web: Server, tmp_path: Path) -> None:
    """A replica that the client does not see is no reason to refuse the job."""
    local = tmp_path / "a.txt"
    local.write_bytes(TEXT)

    job = run(disco, input=[[web.url("missing/9/bad"), str(local)]], map=lines)

    assert [line for line, _ in pairs(job)] == LINES


def test_when_all_replicas_fail_each_is_named(disco: Disco, web: Server) -> None:
    urls = [web.url("fails/9/one"), web.url("truncates/9/other")]

    told = death(disco, input=[urls], map=lines, max_failures=1)

    assert [url for url in urls if f"cannot read {url}: " not in told] == [], told


# -- other file systems


def test_members_of_an_archive(disco: Disco, tmp_path: Path) -> None:
    archive = tmp_path / "texts.zip"
    with zipfile.ZipFile(archive, "w") as members:
        for name in ("a", "b", "c"):
            members.writestr(f"{name}.txt", f"in {name}\n")

    job = run(disco, input=[f"zip://*.txt::file://{archive}"], map=lines, files_per_task=2)

    assert job.jobinfo()["mapi"][2] == 2
    assert [line for line, _ in pairs(job)] == ["in a", "in b", "in c"]


def test_an_archive_that_is_none_is_named(disco: Disco, tmp_path: Path) -> None:
    path = tmp_path / "no.zip"
    path.write_bytes(b"no archive")

    told = death(disco, input=[f"zip://a.txt::file://{path}"], map=lines, max_failures=0)

    assert f"cannot read zip://a.txt::file://{path}: " in told


def test_memory_is_read_where_it_is() -> None:
    packed = io.BytesIO(gzip.compress(b"a\nb\n"))
    fsspec.filesystem("memory").pipe_file("/in/a.gz", packed.getvalue())

    [entry] = plan_inputs(["memory://in/*.gz"], line_based=True)
    with open_input(entry.parts[0][0]) as (fd, size):
        assert (fd.read(), size) == (b"a\nb\n", None)
    fsspec.filesystem("memory").rm("/in", recursive=True)


# -- several files a task


def test_several_files_a_task_and_errors_name_the_right_one(disco: Disco, tmp_path: Path) -> None:
    for i in range(5):
        (tmp_path / f"{i}.txt").write_text(f"{i}\n")

    def with_inputs(line: str, params: Any) -> Iterator[tuple[str, list[str]]]:
        yield line, [name.rpartition("/")[2] for name in this_inputs()]

    job = run(disco, input=[f"{tmp_path}/*.txt"], map=with_inputs, files_per_task=2)
    first, second = ["0.txt", "1.txt"], ["2.txt", "3.txt"]
    assert pairs(job) == [("0", first), ("1", first), ("2", second), ("3", second), ("4", ["4.txt"])]

    (tmp_path / "3.txt.gz").write_bytes(b"no gzip")
    told = death(disco, input=[str(tmp_path)], map=with_inputs, files_per_task=9, max_failures=0)
    assert f"cannot read {tmp_path}/3.txt.gz: " in told


def test_an_exception_of_the_map_names_the_file_that_it_was_in(disco: Disco, tmp_path: Path) -> None:
    for i in range(3):
        (tmp_path / f"{i}.txt").write_text(f"{i}\n{i}\n")

    def fails_in_1(line: str, params: Any) -> list[Any]:
        return [(line, 1 // (int(line) - 1))]

    told = death(disco, input=[str(tmp_path)], map=fails_in_1, files_per_task=3)

    assert "ZeroDivisionError: " in told
    assert f"(in entry 1 of {tmp_path}/1.txt)" in told
