"""A web server with one file, which a test changes, cuts and hides as it likes."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class WebFile:
    """What the server sends. ``cuts``: after so many bytes the next answers end, one each."""

    content: bytes
    headers: dict[str, str] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    ranges: bool = True
    shift: int = 0  # ranges begin so many bytes later than asked for
    chunked: bool = False
    tells_length: bool = True  # else the end of a GET is that of its connection
    head_status: int = 200
    range_status: int = 206  # another one: it refuses them
    head_length: int | None = None
    # Called while the last byte of what a GET gets is still to come: nobody can be through with it before.
    after: Callable[[], None] = lambda: None
    asked: list[tuple[str, str | None, str | None]] = field(default_factory=list)  # method, Range, If-Range
    url: str = ""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    file: WebFile

    def log_message(self, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        if self.file.head_status == 0:  # it hangs up, hard
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
        else:
            self.answer()

    def do_GET(self) -> None:
        self.answer()
        self.close_connection = True

    def answer(self) -> None:
        file, body = self.file, self.file.content
        asked, condition = self.headers["Range"], self.headers["If-Range"]
        file.asked.append((self.command, asked, condition))
        status = file.head_status if self.command == "HEAD" else 200
        self.close_connection = True
        if asked and file.range_status != 206:
            return self.send(file.range_status, b"", {})
        where = ""
        if (
            asked
            and file.ranges
            and condition in (None, file.headers.get("ETag"), file.headers.get("Last-Modified"))
        ):
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, stop = int(first) + file.shift, int(last) + 1 if last else len(body)
            if start >= len(body):
                return self.send(416, b"", {})
            status, where, body = 206, f"bytes {start}-{stop - 1}/{len(body)}", body[start:stop]
        self.send(status, body, {"Content-Range": where} if where else {})
        return None

    def send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        file = self.file
        is_head = self.command == "HEAD"
        length = file.head_length if is_head and file.head_length is not None else len(body)
        self.send_response(status)
        how = {"Transfer-Encoding": "chunked"} if file.chunked else {"Content-Length": str(length)}
        if not (is_head or file.tells_length):
            how = {}
        for header, value in (how | file.headers | headers).items():
            self.send_header(header, value)
        self.end_headers()
        if is_head:
            return
        whole = not file.cuts or (self.headers["Range"] or "").endswith("=0-0")
        sent = body if whole else body[: file.cuts.pop(0)]
        if file.chunked:
            sent = (
                b"%x\r\n%b\r\n" % (len(sent), sent) + b"0\r\n\r\n"
                if whole
                else b"%x\r\n%b" % (len(sent) + 1, sent)
            )
        self.wfile.write(sent[:-1])
        file.after()
        self.wfile.write(sent[-1:])


@contextmanager
def served(file: WebFile) -> Iterator[WebFile]:
    """The file on a server of its own, under ``file.url``."""
    handler = type("Handler", (_Handler,), {"file": file})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        file.url = f"http://127.0.0.1:{server.server_port}/lines.txt"
        try:
            yield file
        finally:
            server.shutdown()
            thread.join()
