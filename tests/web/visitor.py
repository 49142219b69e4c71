"""A visitor of the API without a browser, and a page served for it by the very thread that a master uses."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from disco_rq.settings import Settings
from disco_rq.web.port import WebPort
from disco_rq.web.serving import Page

SECRET = b"a secret of the tests"


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """Of the problem that it tells."""
        return str(self.json["error"]["code"])


class Visitor:
    """Asks a page, with the same headers each time."""

    def __init__(self, root: str, **headers: str) -> None:
        self.address = urlsplit(root).netloc
        self.headers = headers

    def get(self, path: str, headers: dict[str, str] | None = None, /, **query: object) -> Answer:
        """``path``: of the API, or absolute."""
        return self.ask("GET", _target(path, query), headers)

    def job(self, name: str, what: str = "", **query: object) -> Any:
        """The JSON of a job, or of a part of it."""
        answer = self.get(f"jobs/{quote(name)}/{what}".rstrip("/"), **query)
        assert answer.status == 200, answer.body
        return answer.json

    def act(self, path: str) -> Answer:
        """As the page does it: with the CSRF token of the session."""
        csrf = self.get("session").json["csrf"]
        return self.ask("POST", _target(path, {}), {"X-CSRF-Token": csrf, "Origin": f"http://{self.address}"})

    def ask(
        self, method: str, target: str, headers: dict[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        with self.opened(method, target, headers, body) as response:
            return Answer(response.status, response.headers, response.read())

    @contextlib.contextmanager
    def opened(
        self, method: str, target: str, headers: dict[str, str] | None = None, body: bytes = b""
    ) -> Iterator[http.client.HTTPResponse]:
        """An answer of which not all has come, such as a stream."""
        connection = http.client.HTTPConnection(self.address, timeout=20)
        try:
            connection.request(method, target, body=body, headers={**self.headers, **(headers or {})})
            yield connection.getresponse()
        finally:
            connection.close()

    @contextlib.contextmanager
    def listening(self, path: str, headers: dict[str, str] | None = None) -> Iterator[Iterator[Sent]]:
        """The events of a stream as they come."""
        with self.opened("GET", _target(path, {}), headers) as response:
            assert response.status == 200, response.read()
            yield _events(response)


@dataclass(frozen=True)
class Sent:
    """A server-sent event."""

    kind: str
    id: str
    data: Any


def _events(response: http.client.HTTPResponse) -> Iterator[Sent]:
    fields: dict[str, str] = {}
    for line in response:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name:
            fields[name] = value
        elif "data" in fields:
            yield Sent(fields["event"], fields.get("id", ""), json.loads(fields["data"]))
            fields = {}


def _target(path: str, query: dict[str, object]) -> str:
    target = path if path.startswith("/") else f"/api/v1/{path}"
    return f"{target}?{urlencode(query)}" if query else target


@contextlib.contextmanager
def served(redis_url: str, secret: bytes | None = None) -> Iterator[str]:
    """The address of a page of that Redis, served until the end of the block."""
    settings = Settings(redis=redis_url, secret=secret, http="127.0.0.1:0")
    port = WebPort(settings)
    page = Page(settings, port)
    page.start()
    try:
        yield port.url
    finally:
        page.stop()
        port.close()
        assert not page.is_alive(), [thread.name for thread in threading.enumerate()]
