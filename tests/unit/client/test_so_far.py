"""How far an attempt is that runs on another node, as that one's data server tells."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import Any

import pytest

from disco_rq.client.results import read_so_far
from disco_rq.errors import DataError
from disco_rq.outputs.locator import Server
from disco_rq.outputs.underway import TAIL_BYTES, SoFar

ADDRESS = "disco://n1/job@20260101-000000-aaaa/map-3.1"


class DataServer(HTTPServer):
    """Answers all with one header, and a log."""

    status, header, log = 200, "", b"printed"

    def locator(self) -> Any:
        told = Server(f"http://127.0.0.1:{self.server_port}", None)
        return SimpleNamespace(path=lambda _: None, server=lambda _: told)


class Answer(BaseHTTPRequestHandler):
    server: DataServer

    def do_GET(self) -> None:
        self.server.asked = self.path  # type: ignore[attr-defined]
        self.send_response(self.server.status)
        self.send_header("x-disco-rq-entries", self.server.header)
        self.end_headers()
        self.wfile.write(self.server.log)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def other() -> Iterator[DataServer]:
    with DataServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("header", "nr_entries"),
    [("0", 0), ("1234", 1234), ("", None), ("-1", None), ("1e9", None), ("9" * 5000, None)],
)
def test_a_number_is_believed_and_nothing_else(
    other: DataServer, header: str, nr_entries: int | None
) -> None:
    other.header = header

    assert read_so_far(other.locator(), ADDRESS) == SoFar(b"printed", nr_entries)
    assert other.asked == "/job@20260101-000000-aaaa/map-3.1.live"  # type: ignore[attr-defined]


def test_no_more_of_the_log_is_read_than_is_told(other: DataServer) -> None:
    other.log = b"x" * TAIL_BYTES * 3

    assert read_so_far(other.locator(), ADDRESS).text == "x" * TAIL_BYTES


def test_a_node_of_an_older_version_knows_nothing(other: DataServer) -> None:
    other.status = 404

    assert read_so_far(other.locator(), ADDRESS) == SoFar()


def test_a_node_that_cannot_be_read_is_an_error(other: DataServer) -> None:
    other.status = 500

    with pytest.raises(DataError, match="its log cannot be read: HTTP status 500"):
        read_so_far(other.locator(), ADDRESS)
