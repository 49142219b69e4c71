"""Inputs on a web server, also on one that fails, truncates, stalls and redirects."""

from __future__ import annotations

import base64
import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from disco_rq.errors import DataError, JobArgumentError
from disco_rq.inputs import open_input, plan_inputs
from disco_rq.model import Input

TEXT = b"".join(b"line %d\n" % i for i in range(20_000))


class Handler(BaseHTTPRequestHandler):
    """The path says how the server behaves."""

    protocol_version = "HTTP/1.1"
    release = threading.Event()  # a stalled answer goes on
    seen: list[tuple[str, str, str | None]] = []  # noqa: RUF012  emptied by the fixture

    def log_message(self, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.seen.append((self.command, self.path, self.headers["Range"]))
        name = self.path.partition("?")[0].strip("/").replace("/", "_").replace(".", "_")
        getattr(self, "serve_" + name, self.serve_missing)()

    def answer(self, status: int, body: bytes, *, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        for header, value in headers.items():
            self.send_header(header.replace("_", "-"), value)
        if "Transfer_Encoding" not in headers and length != -1:
            self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
            self.wfile.flush()

    def serve_plain_txt(self) -> None:
        self.answer(200, TEXT)

    def serve_text_gz(self) -> None:
        self.answer(200, gzip.compress(TEXT))

    def serve_encoded(self) -> None:
        self.answer(200, gzip.compress(TEXT), Content_Encoding="gzip")

    def serve_ranges_txt(self) -> None:
        asked = self.headers["Range"]
        if not asked:
            return self.answer(200, TEXT, Accept_Ranges="bytes")
        start = int(asked.removeprefix("bytes=").rstrip("-"))
        where = f"bytes {start}-{len(TEXT) - 1}/{len(TEXT)}"
        return self.answer(206, TEXT[start:], Accept_Ranges="bytes", Content_Range=where)

    def serve_forgets_ranges_txt(self) -> None:
        self.answer(200, TEXT, Accept_Ranges="bytes")

    def serve_truncated(self) -> None:
        self.answer(200, TEXT[:1000], length=len(TEXT))
        self.close_connection = True

    def serve_no_length(self) -> None:
        self.close_connection = True
        self.answer(200, TEXT, length=-1, Connection="close")

    def serve_chunked(self) -> None:
        self.answer(200, b"%x\r\n%s\r\n0\r\n\r\n" % (len(TEXT), TEXT), Transfer_Encoding="chunked")

    def serve_chunked_truncated(self) -> None:
        self.answer(200, b"%x\r\n%s\r\n" % (len(TEXT), TEXT), Transfer_Encoding="chunked")
        self.close_connection = True

    def serve_stalls(self) -> None:
        self.answer(200, TEXT[:1000], length=len(TEXT))
        if self.command == "GET":
            self.release.wait(30)
        self.close_connection = True

    def serve_broken(self) -> None:
        self.answer(503, b"later")

    def serve_empty_answer(self) -> None:
        self.answer(204, b"")

    def serve_missing(self) -> None:
        self.answer(404, b"")

    def serve_moved(self) -> None:
        self.answer(302, b"", Location="/plain.txt")

    def serve_private(self) -> None:
        wanted = "Basic " + base64.b64encode(b"me:p@ss").decode()
        self.answer(200 if self.headers["Authorization"] == wanted else 401, b"secret")


@pytest.fixture
def server() -> Iterator[str]:
    Handler.release.clear()
    Handler.seen.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        Handler.release.set()
        http.shutdown()
        thread.join()


def read(url: str, start: int = 0, length: int | None = None) -> bytes:
    with open_input(Input(url, start, length), timeout_s=0.5) as (fd, size):
        data = fd.read()
    assert size in (None, len(data))
    return data


@pytest.mark.parametrize(
    "path",
    ["plain.txt", "text.gz", "text.gz?v=1#top", "encoded", "no_length", "chunked", "moved", "ranges.txt"],
)
def test_read(server: str, path: str) -> None:
    assert read(f"{server}/{path}") == TEXT


def test_the_size_is_told_when_the_server_says_it(server: str) -> None:
    with open_input(Input(f"{server}/plain.txt")) as (_, size):
        assert size == len(TEXT)
    with open_input(Input(f"{server}/no_length")) as (_, size):
        assert size is None


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("truncated", "cut off after 1000 of"),
        ("chunked_truncated", "the transfer was cut off"),
        ("stalls", "timed out"),
        ("broken", "HTTP status 503 Service Unavailable"),
        ("missing", "HTTP status 404"),
        ("empty_answer", "HTTP status 204 instead of 200"),
    ],
)
def test_failures_name_the_address_and_the_reason(server: str, path: str, says: str) -> None:
    with pytest.raises(DataError) as caught:
        read(f"{server}/{path}")
    assert str(caught.value).startswith(f"cannot read {server}/{path}: ")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_server() -> None:
    with pytest.raises(DataError, match=r"http://127\.0\.0\.1:1/a: Connection refused"):
        read("http://127.0.0.1:1/a")


def test_user_and_password(server: str) -> None:
    host = server.removeprefix("http://")
    assert read(f"http://me:p%40ss@{host}/private") == b"secret"
    with pytest.raises(DataError, match="HTTP status 401") as caught:
        read(f"http://me:wrong@{host}/private")
    assert "wrong" not in f"{caught.value} {caught.value.url}"
    assert caught.value.url == f"http://me:***@{host}/private"


def test_big_files_of_a_server_with_ranges_are_cut(server: str) -> None:
    planned = plan_inputs([f"{server}/ranges.txt"], line_based=True, split_size=30_000)

    parts = [part for task in planned for (part,) in task.parts]
    assert len(parts) == -(-len(TEXT) // 30_000)
    assert b"".join(read(p.url, p.start, p.length) for p in parts) == TEXT


def test_other_files_are_not_cut(server: str) -> None:
    for path in ("plain.txt", "text.gz", "encoded", "no_length", "chunked", "broken"):
        (task,) = plan_inputs([f"{server}/{path}"], line_based=True, split_size=1000)
        assert task.parts == ((Input(f"{server}/{path}"),),)


def test_a_server_that_forgets_its_ranges_is_noticed(server: str) -> None:
    with pytest.raises(DataError, match="HTTP status 200 instead of 206"):
        read(f"{server}/forgets_ranges.txt", 1000, 1000)
    with pytest.raises(DataError, match="in pieces"):
        read(f"{server}/plain.txt", 1000, 1000)


def test_a_missing_file_fails_at_submit_unless_a_replica_may_be_there(server: str) -> None:
    with pytest.raises(JobArgumentError, match=rf"input {server}/missing: no such file"):
        plan_inputs([f"{server}/missing"], line_based=True)
    (task,) = plan_inputs([[f"{server}/missing", f"{server}/plain.txt"]], line_based=True)
    assert task.urls() == [f"{server}/missing", f"{server}/plain.txt"]


def test_a_server_that_cannot_be_asked_is_left_to_the_nodes() -> None:
    urls = [f"http://127.0.0.1:1/{i}" for i in range(50)]
    planned = plan_inputs(urls, line_based=True)
    assert [task.urls() for task in planned] == [[url] for url in urls]
