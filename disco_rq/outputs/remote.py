"""Reading the files of other nodes from their data servers.

The standard library's ``http.client``: it follows no redirect and knows no proxy, so that a token goes to the
node that it is for and nowhere else.
"""

from __future__ import annotations

import hmac
import http.client
import io
import random
import threading
import time
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse
from typing import BinaryIO, cast
from urllib.parse import urlsplit

from disco_rq.errors import CorruptData, DataError
from disco_rq.outputs.addresses import split_address
from disco_rq.outputs.locator import Locator, Server
from disco_rq.outputs.wire import PROOF

__all__ = [
    "NETWORK_ERRORS",
    "NODE_PATIENCE_S",
    "Patience",
    "RemoteFile",
    "TokenRefused",
    "ask",
    "ask_now",
    "open_remote",
    "patience_of",
    "reason",
]

NODE_PATIENCE_S = 10.0
"""For how long a reader tries again without getting anything."""
MOST_DOUBLINGS = 3
SILENCE_S = 5.0
"""A server that sends nothing for so long has stalled."""

_PAUSE_S = 0.05
_PAUSE_MAX_S = 2.0
_BUFFER_BYTES = 256 << 10

NETWORK_ERRORS = (OSError, HTTPException)
"""What a connection raises: worth another try."""


def patience_of(attempt: int) -> float:
    """For how long the n-th attempt of a task tries: 10, 20, 40 and then 80 s.

    The first one tells soon that a node is gone. Where only the way to it is cut, for a minute perhaps, the
    attempts together last longer than that.
    """
    return float(NODE_PATIENCE_S * 2 ** min(attempt - 1, MOST_DOUBLINGS))


class TokenRefused(DataError):
    """A server knows neither our secret nor, perhaps, the life in which its node was told to us. Has no
    ``url``: no file is to blame.
    """


class Patience:
    """Pauses between tries, longer each time, until nothing was got for ``patience_s``."""

    def __init__(self, patience_s: float = NODE_PATIENCE_S, stop: threading.Event | None = None) -> None:
        """``stop``: when set, no pause is waited out and no try is left."""
        self._patience_s = patience_s
        self._stop = stop or threading.Event()
        self.renew()

    def renew(self) -> None:
        """Something came: start over."""
        self._since = time.monotonic()
        self._pause_s = _PAUSE_S

    def wait(self) -> bool:
        """Wait for the next try. False: there is none any more."""
        if self._stop.is_set() or time.monotonic() - self._since >= self._patience_s:
            return False
        stopped = self._stop.wait(self._pause_s * random.uniform(0.75, 1.25))
        self._pause_s = min(self._pause_s * 2, _PAUSE_MAX_S)
        return not stopped


def ask(
    server: Server, path: str, *, body: bytes | None = None, start: int = 0, silence_s: float = SILENCE_S
) -> HTTPResponse:
    """The answer to GET of a path from ``start`` on, or to POST of a body; the caller closes it.

    Raises one of ``NETWORK_ERRORS`` for what may go better the next time, ``FileNotFoundError`` if there is
    no such file, and ``TokenRefused`` if the server does not know our token, or does not prove that it does.
    """
    connection, prefix = _connection(server.url, silence_s)
    headers = {"Connection": "close", "Accept-Encoding": "identity"}
    if server.opened_by is not None:
        headers["Authorization"] = f"Bearer {server.opened_by.token}"
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        connection.request("GET" if body is None else "POST", prefix + path, body, headers)
        response = connection.getresponse()
    except BaseException:
        connection.close()
        raise
    is_there, is_gone = response.status == (206 if start else 200), response.status == 404
    if is_there and _is_proved(server, response):
        return response
    response.close()
    if response.status in (401, 403):
        raise TokenRefused(f"{server.url} refuses our token: is DISCO_RQ_SECRET the same there and here?")
    if (is_there or is_gone) and not _is_proved(server, response):
        raise TokenRefused(f"{server.url} does not prove that it is the data server of its node")
    if is_gone:
        raise FileNotFoundError("no such file")
    raise OSError(f"HTTP status {response.status}")


def _connection(url: str, silence_s: float) -> tuple[http.client.HTTPConnection, str]:
    """Not yet open; and what all paths there begin with. Who may write to Redis may have told any address."""
    try:
        parts = urlsplit(url)
        connect = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        return connect(parts.hostname or "", parts.port, timeout=silence_s), parts.path.rstrip("/")
    except ValueError as error:
        raise OSError(f"{url!r} is not the address of a server: {error}") from None


def _is_proved(server: Server, response: HTTPResponse) -> bool:
    if server.opened_by is None:
        return True
    given = response.headers.get(PROOF.decode(), "")
    return hmac.compare_digest(given.encode(), server.opened_by.proof.encode())


def ask_now(
    server: Callable[[], Server], path: str, *, body: bytes | None = None, start: int = 0
) -> HTTPResponse:
    """As ``ask``. ``server`` is asked first, and again if the node was started anew in between: its token is
    another one then.
    """
    told = server()
    try:
        return ask(told, path, body=body, start=start)
    except TokenRefused:
        anew = server()
        if anew == told:
            raise
        return ask(anew, path, body=body, start=start)


class RemoteFile(io.RawIOBase):
    """An output on another node, read in one stream that is resumed where it was cut off.

    Reading raises ``DataError`` with the address when the server cannot be reached for ``NODE_PATIENCE_S``,
    or the file is not there.
    """

    def __init__(
        self,
        address: str,
        server: Callable[[], Server],
        *,
        patience_s: float = NODE_PATIENCE_S,
        suffix: str = "",
    ) -> None:
        """``server``: asked before each connection, since a node may be started again elsewhere. ``suffix``:
        of the file beside the output that is meant.
        """
        self._address = address
        self._node, *path = split_address(address)
        self._path = "/" + "/".join(path) + suffix
        self._server = server
        self._patience_s = patience_s
        self._at = 0
        self._response: HTTPResponse | None = None
        self.size = -1  # known with the first answer
        self._try(self._first)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        offset += {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        if offset < 0:
            raise ValueError(f"negative seek position {offset}")
        if offset != self._at:
            self._disconnect()
            self._at = offset
        return offset

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self._at >= self.size or not len(buffer):
            return 0
        count = self._try(lambda: self._read(buffer))
        self._at += count or 0
        return count or 0

    def close(self) -> None:
        self._disconnect()
        super().close()

    def _first(self) -> None:
        self._connected()

    def _read(self, buffer: memoryview) -> int:
        count = self._connected().readinto(buffer)
        if not count:
            raise OSError(f"cut off after {self._at} of {self.size} bytes")
        return count

    def _connected(self) -> HTTPResponse:
        if self._response is None:
            response = ask_now(self._server, self._path, start=self._at)
            length = int(response.headers.get("Content-Length", -1))
            if self.size < 0:
                self.size = length
            if length < 0 or self._at + length != self.size:
                response.close()
                raise FileNotFoundError("it is not the same file any more")
            self._response = response
        return self._response

    def _disconnect(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response = None

    def _try(self, action: Callable[[], int | None]) -> int | None:
        patience = Patience(self._patience_s)
        while True:
            try:
                return action()
            except FileNotFoundError as error:
                raise CorruptData(
                    f"{self._address} is gone from its node ({error}): was its job purged?", self._address
                ) from None
            except NETWORK_ERRORS as error:
                self._disconnect()
                if not patience.wait():
                    raise DataError(
                        f"cannot read {self._address}: the data server of node {self._node} "
                        f"cannot be reached: {reason(error)}",
                        self._address,
                    ) from error


def open_remote(locator: Locator, address: str, *, suffix: str = "") -> BinaryIO:
    """An output on another node, or the file with the suffix beside it, buffered."""
    file = RemoteFile(address, lambda: locator.server(address), suffix=suffix)
    return cast(BinaryIO, io.BufferedReader(file, _BUFFER_BYTES))


def reason(error: BaseException) -> str:
    """What went wrong with a connection, in a few words."""
    if isinstance(error, TimeoutError):
        return "it does not answer (timed out)"
    if isinstance(error, http.client.IncompleteRead):
        return "the connection was cut"
    text = (error.strerror if isinstance(error, OSError) else "") or str(error)
    return text or type(error).__name__
