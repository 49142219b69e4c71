"""A file on a web server: a raw stream that notices a cut, and can seek where the server has ranges.

The standard library's client: nothing to install on a node, and its sockets time out on each single read,
which is what notices a stall. Proxies come from the environment, certificates are checked.
"""

from __future__ import annotations

import base64
import io
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPResponse
from urllib.parse import quote, unquote, urlsplit, urlunsplit

__all__ = ["HttpFile", "Probe", "probe"]

_RESERVED = "!#$%&'()*+,/:;=?@[]~"


@dataclass(frozen=True, slots=True)
class Probe:
    """What a server says of a file without sending it. ``size`` None: unknown, or not what would be read."""

    status: int
    size: int | None = None
    ranges: bool = False
    about: Mapping[str, str] = field(default_factory=dict)


def probe(url: str, timeout_s: float) -> Probe:
    """Ask for the head of the file. An HTTP error is an answer too; no answer raises ``OSError``."""
    try:
        with _request(url, timeout_s, method="HEAD") as response:
            return Probe(response.status, _size(response), _is_plain(response), about(response))
    except urllib.error.HTTPError as error:
        return Probe(error.code)


class HttpFile(io.RawIOBase):
    """Reads one address from ``start`` on. Raises ``OSError`` and ``http.client.HTTPException`` when that
    fails.

    ``size`` is the whole file's, None if the server does not say. ``codec`` undoes the Content-Encoding, if
    there is one.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._at = 0
        self._response: HTTPResponse | None = None
        response = self._connect()
        self.size = _size(response)
        self.about = about(response)
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        self.codec = None if encoding == "identity" else encoding.removeprefix("x-")
        self._ranges = response.headers.get("Accept-Ranges") == "bytes"

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._ranges and self.size is not None

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self.size is not None and self._at >= self.size:
            return 0
        response = self._response or self._connect()
        count = response.readinto(buffer)
        if not count and len(buffer) and self.size is not None:
            raise EOFError(f"cut off after {self._at} of {self.size} bytes")
        self._at += count
        return count

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        if whence != io.SEEK_SET or not self.seekable():
            raise io.UnsupportedOperation("seek")
        if offset != self._at:
            self._disconnect()
            self._at = offset
        return offset

    def tell(self) -> int:
        return self._at

    def close(self) -> None:
        self._disconnect()
        super().close()

    def _connect(self) -> HTTPResponse:
        response = _request(self._url, self._timeout_s, start=self._at)
        wanted = 206 if self._at else 200
        if response.status != wanted:
            response.close()
            raise OSError(f"HTTP status {response.status} instead of {wanted}")
        if self._at and not response.headers.get("Content-Range", "").startswith(f"bytes {self._at}-"):
            response.close()
            raise OSError(f"the server sent another range than from byte {self._at}")
        self._response = response
        return response

    def _disconnect(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response = None


def about(response: HTTPResponse) -> dict[str, str]:
    """What changes with the file."""
    found = {"ETag": response.headers.get("ETag"), "LastModified": response.headers.get("Last-Modified")}
    return {name: value for name, value in found.items() if value}


def _is_plain(response: HTTPResponse) -> bool:
    """Whether a piece of what is sent is a piece of the file."""
    headers = response.headers
    return (
        headers.get("Accept-Ranges") == "bytes" and headers.get("Content-Encoding", "identity") == "identity"
    )


def _size(response: HTTPResponse) -> int | None:
    length = response.headers.get("Content-Length", "")
    chunked = response.headers.get("Transfer-Encoding", "").lower() == "chunked"
    return int(length) if length.isdigit() and not chunked else None


def _request(url: str, timeout_s: float, *, method: str = "GET", start: int = 0) -> HTTPResponse:
    parts = urlsplit(url)
    login, _, host = parts.netloc.rpartition("@")
    plain = urlunsplit((parts.scheme, host, parts.path or "/", parts.query, ""))
    request = urllib.request.Request(quote(plain, safe=_RESERVED), method=method)
    request.add_header("Accept-Encoding", "identity")
    request.add_header("User-Agent", "disco-rq")
    if start:
        request.add_header("Range", f"bytes={start}-")
    if login:
        user, _, password = login.partition(":")
        token = base64.b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {token}")  # not for another host
    try:
        response: HTTPResponse = urllib.request.urlopen(request, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        error.close()  # it is an open response too
        raise
    return response
