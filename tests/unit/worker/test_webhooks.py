"""The end of a job as a POST: what is sent, when it is sent again, and to whom it is not."""

from __future__ import annotations

import hmac
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

import disco_rq
from disco_rq import WebhookFailed, webhook

ENDING = {"job": "job@20260101-000000-aaaa", "status": "dead", "cause": {"message": "ValueError: ö"}}


class Receiver(HTTPServer):
    """Answers with the next of its statuses, the last one for ever; keeps what came."""

    def __init__(self, *statuses: int) -> None:
        super().__init__(("127.0.0.1", 0), Asked)
        self.statuses = list(statuses)
        self.got: list[tuple[str, dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Asked(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, dict(self.headers), body))
        statuses = self.server.statuses
        status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
        self.send_response(status)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def receiver(*statuses: int) -> Iterator[Receiver]:
    with Receiver(*statuses) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def local(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Addresses of this machine are allowed; pauses are noted, and take no time."""
    pauses: list[float] = []
    for name in ("SECRET", "SECRET_FILE", "WEBHOOK_SECRET", "SECRET_KEPT"):
        monkeypatch.delenv(f"DISCO_RQ_{name}", raising=False)
    monkeypatch.setenv("DISCO_RQ_WEBHOOK_LOCAL", "on")
    monkeypatch.setattr(time, "sleep", pauses.append)
    return pauses


def test_it_is_a_post_of_json() -> None:
    with receiver(204) as server:
        assert webhook(ENDING, f"{server.url}/hook?a=b") == 204

    [(path, headers, body)] = server.got
    assert path == "/hook?a=b"
    assert json.loads(body) == ENDING
    assert headers["Content-Type"] == "application/json"
    assert headers["User-Agent"] == f"disco-rq/{disco_rq.__version__}"
    assert headers["X-Disco-Delivery"] == ENDING["job"]
    assert "X-Disco-Signature" not in headers


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"SECRET": "cluster"}, b"cluster"),
        ({"SECRET": "new,old"}, b"new"),
        ({"SECRET": "cluster", "WEBHOOK_SECRET": "own"}, b"own"),
    ],
)
def test_with_a_secret_it_is_signed(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], key: bytes
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(f"DISCO_RQ_{name}", value)

    with receiver(200) as server:
        webhook(ENDING, server.url)

    [(_, headers, body)] = server.got
    assert headers["X-Disco-Signature"] == f"sha256={hmac.new(key, body, 'sha256').hexdigest()}"


def test_who_needs_a_login_gets_it() -> None:
    with receiver(200) as server:
        webhook(ENDING, server.url.replace("http://", "http://me:p%40ss@"))

    [(_, headers, _)] = server.got
    assert headers["Authorization"] == "Basic bWU6cEBzcw=="


def test_what_may_be_well_later_is_tried_again_with_pauses_that_double(local: list[float]) -> None:
    with receiver(500, 503, 429, 200) as server:
        assert webhook(ENDING, server.url) == 200

    assert len(server.got) == 4
    assert len({headers["X-Disco-Delivery"] for _, headers, _ in server.got}) == 1
    assert local == [1, 2, 4]


def test_a_server_that_is_not_there_is_tried_so_often_and_no_more(local: list[float]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/hook"

    with pytest.raises(
        WebhookFailed, match=f"^{url} was not told that {ENDING['job']} has ended: Connection"
    ):
        webhook(ENDING, url)

    assert local == [1, 2, 4, 8, 16, 32, 64]


@pytest.mark.parametrize("status", [301, 307, 400, 404, 410])
def test_an_answer_that_will_not_change_ends_it_at_once(status: int, local: list[float]) -> None:
    with (
        receiver(status) as server,
        pytest.raises(WebhookFailed, match=f"has ended: it answers {status}$"),
    ):
        webhook(ENDING, server.url)

    assert len(server.got) == 1
    assert local == []


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.8.9.1",
        "localhost",
        "[::1]",
        "0.0.0.0",
        "169.254.169.254",
        "[fe80::1]",
        "[::ffff:127.0.0.1]",
    ],
)
def test_this_machine_and_its_link_are_told_nothing(
    monkeypatch: pytest.MonkeyPatch, host: str, local: list[float]
) -> None:
    monkeypatch.delenv("DISCO_RQ_WEBHOOK_LOCAL")

    with pytest.raises(WebhookFailed, match=r"only with DISCO_RQ_WEBHOOK_LOCAL=on"):
        webhook(ENDING, f"http://{host}:1/hook")

    assert local == []


def test_a_name_is_refused_if_any_of_its_addresses_is_local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISCO_RQ_WEBHOOK_LOCAL")
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, 80)) for ip in ("192.0.2.1", "127.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)

    with pytest.raises(WebhookFailed, match=r"leads to 127.0.0.1"):
        webhook(ENDING, "http://inside.example/hook")


def test_passwords_of_an_address_are_not_told() -> None:
    with receiver(404) as server, pytest.raises(WebhookFailed) as caught:
        webhook(ENDING, server.url.replace("http://", "http://me:secret@"))

    assert "secret" not in str(caught.value)
