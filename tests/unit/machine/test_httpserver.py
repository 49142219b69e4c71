"""A server that waits for nobody for ever: for no header, no body, no reader."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from starlette.types import Receive, Scope, Send

from disco_rq.machine import httpserver
from disco_rq.machine.httpserver import HttpServer, welcome
from disco_rq.machine.sockets import listen

PIECE = bytes(64 << 10)
DEADLINE_S = 15.0


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    """The address of a server with short patience. What is asked for but ``/`` is for known guests."""
    monkeypatch.setattr(httpserver, "HEADERS_S", 1.0)
    monkeypatch.setattr(httpserver, "BODY_S", 2.0)
    monkeypatch.setattr(httpserver, "STALLED_S", 2.0)
    with serving() as address:
        yield address


@contextmanager
def serving() -> Iterator[tuple[str, int]]:
    listener = listen("127.0.0.1", 0)
    server = HttpServer(answer, farewell_s=1, lifespan="off")
    thread = threading.Thread(target=server.serve_on, args=[listener])
    thread.start()
    try:
        yield listener.getsockname()
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["path"] != "/":
        assert welcome(scope)
    if scope["path"] == "/slow":
        await asyncio.sleep(3)
    body = PIECE * 1_000 if scope["path"] == "/large" else b"ok"
    if scope["method"] == "POST":
        while (await receive()).get("more_body"):
            pass
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for start in range(0, len(body), len(PIECE)):
        piece = body[start : start + len(PIECE)]
        more = start + len(PIECE) < len(body)
        await send({"type": "http.response.body", "body": piece, "more_body": more})


def connected(server: tuple[str, int], said: str = "") -> socket.socket:
    connection = socket.create_connection(server, timeout=DEADLINE_S)
    connection.sendall(said.encode())
    return connection


def ends(connection: socket.socket, say: bytes = b"") -> bool:
    """Whether the server ends it, while it says a little from time to time."""
    connection.settimeout(0.2)
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        try:
            connection.sendall(say)
            if not connection.recv(1 << 16):
                return True
        except TimeoutError:
            continue
        except OSError:
            return True
    return False


@pytest.mark.parametrize("said", ["", "GET / HTTP/1.1\r\nHost: x\r\nX: "])
def test_who_sends_no_whole_request_is_sent_away(server: tuple[str, int], said: str) -> None:
    with connected(server, said) as connection:
        assert ends(connection, b"a" if said else b"")


def test_the_second_request_of_a_connection_has_to_come_too(server: tuple[str, int]) -> None:
    with connected(server, "GET / HTTP/1.1\r\nHost: x\r\n\r\n") as connection:
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200")
        assert ends(connection, b"G")


def test_a_body_has_to_come(server: tuple[str, int]) -> None:
    with connected(server, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n") as connection:
        assert ends(connection, b"a")


def test_a_reader_that_takes_a_byte_now_and_then_is_cut_off(server: tuple[str, int]) -> None:
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(server)
        connection.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        began = time.monotonic()
        assert is_cut_off(connection)
        assert time.monotonic() - began > 2


def is_cut_off(connection: socket.socket) -> bool:
    pause = threading.Event()
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        if connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            return True
        connection.recv(1)
        pause.wait(0.05)
    return False


def test_who_reads_on_gets_all_of_it_however_long_the_answer_takes(server: tuple[str, int]) -> None:
    for path, size in (("/slow", 2), ("/large", len(PIECE) * 1_000)):
        with connected(server, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") as connection:
            got = 0
            while piece := connection.recv(1 << 20):
                got += len(piece)
            assert size < got < size + 500


def test_two_thousand_that_say_nothing_leave_room_for_who_is_known() -> None:
    asked = "GET /known HTTP/1.1\r\nHost: x\r\n\r\n"
    with serving() as server, connected(server, asked) as reader:
        whole(reader)
        idle = [connected(server, "G") for _ in range(2_000)]
        reader.sendall(asked.encode())
        whole(reader)
        with connected(server, asked) as newcomer:
            whole(newcomer)
        for one in idle:
            one.close()


def whole(connection: socket.socket) -> None:
    """Read a whole short answer."""
    got = b""
    while not got.endswith(b"ok"):
        piece = connection.recv(1 << 16)
        assert piece, got
        got += piece
