"""A file on a web server: a raw stream that notices a cut, and can seek where the server has ranges.

The standard library's client: nothing to install on a node, and its sockets time out on each single read,
which is what notices a stall. Proxies come from the environment, certificates are checked.
"""

from __future__ import annotations

import base64
import io
import re
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse, IncompleteRead
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit, urlunsplit

__all__ = ["HttpFile", "Probe", "probe"]

_RESERVED = "!#$%&'()*+,/:;=?@[]~"
_NO_SUCH_RANGE = 416
_RANGE_REFUSED = (400, 403, 405, 412, 500, 501)
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_MAX_CUTS = 5
"""So many times a transfer goes on without having brought much since the last cut."""
_MUCH_BYTES = 1 << 20
_PAUSE_S = 0.05
"""Before the first time that a transfer goes on; each further pause is twice as long."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What a server says of a file without sending it. ``size`` None: unknown, or not what would be read."""

    status: int
    size: int | None = None
    ranges: bool = False
    about: Mapping[str, str] = field(default_factory=dict)


def probe(url: str, timeout_s: float) -> Probe:
    """Ask for the head of the file. An HTTP error is an answer too; no answer raises ``OSError``.

    Servers that refuse that, do not answer it, or say of every file that it is missing or empty, are asked
    for the first byte.
    """
    try:
        with _request(url, timeout_s, method="HEAD") as response:
            head = Probe(response.status, _size(response), _is_plain(response), about(response))
    except urllib.error.HTTPError as error:
        head = Probe(error.code)
    except (HTTPException, ConnectionError, TimeoutError):  # it was reached, and hung up or said nothing
        head = Probe(0)
    return head if head.status == 200 and head.size != 0 else _first_byte(url, timeout_s)


def _first_byte(url: str, timeout_s: float, *, ranged: bool = True) -> Probe:
    try:
        with _request(url, timeout_s, **({"Range": "bytes=0-0"} if ranged else {})) as response:
            if response.status != 206:
                return Probe(response.status, _size(response), _is_plain(response), about(response))
            return Probe(200, _range(response).total, _is_plain(response), about(response))
    except urllib.error.HTTPError as error:
        if error.code == _NO_SUCH_RANGE:
            return Probe(200, 0)
        if ranged and error.code in _RANGE_REFUSED:  # then all of it, of which nothing is read
            return _first_byte(url, timeout_s, ranged=False)
        return Probe(error.code)


class HttpFile(io.RawIOBase):
    """Reads one address from ``start`` on. Raises ``OSError`` and ``http.client.HTTPException`` when that
    fails, ``ValueError`` if it becomes another file meanwhile.

    A transfer that is cut goes on from where it was, if the server says which file it is: a strong ETag, or
    the time of its last change. ``size`` is the whole file's, None if the server does not say. ``codec``
    undoes the Content-Encoding, if there is one.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._at = 0
        self._response: HTTPResponse | None = None
        self._cuts = 0  # since much was read last
        self._read_at_cut = 0
        self.about: dict[str, str] = {}
        response = self._connect()
        self.size = _size(response)
        self._total = self.size
        self.about = about(response)
        self._encoding = _encoding(response)
        self.codec = None if self._encoding == "identity" else self._encoding.removeprefix("x-")
        self.ends_with_connection = self.size is None and not response.chunked
        """A cut looks like the end, to who does not know the size from elsewhere."""
        self._ranges = response.headers.get("Accept-Ranges") == "bytes"
        self._may_have_ranges = response.headers.get("Accept-Ranges") != "none"

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._ranges and self.size is not None

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while True:
            if self._total is not None and self._at >= self._total:
                return 0
            try:
                count = self._read(buffer)
            except (OSError, EOFError, HTTPException) as error:
                self._disconnect()
                if not _is_cut(error):
                    raise
                self._prepare_to_go_on(error)
                continue
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

    def now(self) -> Probe | None:
        """What the server says of the file now. None: nothing that tells."""
        try:
            head = probe(self._url, self._timeout_s)
        except (OSError, HTTPException):  # all was read, and no more is needed
            return None
        return head if head.status == 200 else None

    def _read(self, buffer: memoryview) -> int:
        response = self._response or self._connect()
        count = response.readinto(buffer)
        if not count and len(buffer) and self._total is not None:
            raise EOFError(f"cut off after {self._at} of {self._total} bytes")
        return count

    def _prepare_to_go_on(self, error: Exception) -> None:
        """Raise ``error`` if there is no use in asking for the rest."""
        if self._at - self._read_at_cut >= _MUCH_BYTES:
            self._cuts = 0
        self._cuts, self._read_at_cut = self._cuts + 1, self._at
        if self._cuts > _MAX_CUTS or not self._may_have_ranges or self._validator() is None:
            raise error
        time.sleep(_PAUSE_S * 2 ** (self._cuts - 1))

    def _validator(self) -> str | None:
        """What the server knows these very bytes by."""
        tag = self.about.get("ETag", "")
        return tag if tag and not tag.startswith("W/") else self.about.get("LastModified")

    def _connect(self) -> HTTPResponse:
        asked: dict[str, str] = {"Range": f"bytes={self._at}-"} if self._at else {}
        validator = self._validator()
        if self._at and validator is not None:
            asked["If-Range"] = validator
        try:
            response = _request(self._url, self._timeout_s, **asked)
        except urllib.error.HTTPError as error:
            if error.code == _NO_SUCH_RANGE:
                raise ValueError(f"it has become shorter: there is no byte {self._at} any more") from None
            raise
        try:
            self._check(response)
        except Exception:
            response.close()
            raise
        self._response = response
        return response

    def _check(self, response: HTTPResponse) -> None:
        """Raise unless it is the rest of the file, or all of it, that was asked for."""
        now = about(response)
        if any(now.get(name, tag) != tag for name, tag in self.about.items()):
            raise ValueError("it was rewritten while it was read: the server sends another version")
        wanted = 206 if self._at else 200
        if response.status != wanted:
            raise OSError(
                f"HTTP status {response.status} instead of {wanted}"
                + (f": the server does not go on from byte {self._at}" if self._at else "")
            )
        if not self._at:
            return
        sent = _range(response)
        if sent.start != self._at or (sent.total is not None and sent.stop != sent.total):
            raise OSError(f"the server sent another range than from byte {self._at}")
        if self._total is not None and sent.total not in (None, self._total):
            raise ValueError(f"it has {sent.total} bytes now, and {self._total} were there")
        if _encoding(response) != self._encoding:
            raise OSError("the server sent the rest in another encoding")
        self._total = sent.total if self._total is None else self._total

    def _disconnect(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response = None


def _is_cut(error: Exception) -> bool:
    """Whether the connection has ended too early, or the server is about to start again."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code in (500, 502, 503, 504)
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    return isinstance(reason, EOFError | IncompleteRead | ConnectionError)


class _Range(NamedTuple):
    """Bytes of a file of ``total``, as far as the server knows that."""

    start: int
    stop: int
    total: int | None


def _range(response: HTTPResponse) -> _Range:
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    if match is None:
        return _Range(-1, -1, None)
    total = None if match[3] == "*" else int(match[3])
    return _Range(int(match[1]), int(match[2]) + 1, total)


def _encoding(response: HTTPResponse) -> str:
    return str(response.headers.get("Content-Encoding") or "identity").strip().lower()


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


def _request(url: str, timeout_s: float, *, method: str = "GET", **asked: str) -> HTTPResponse:
    parts = urlsplit(url)
    login, _, host = parts.netloc.rpartition("@")
    plain = urlunsplit((parts.scheme, host, parts.path or "/", parts.query, ""))
    request = urllib.request.Request(quote(plain, safe=_RESERVED), method=method)
    request.add_header("Accept-Encoding", "identity")
    request.add_header("User-Agent", "disco-rq")
    for name, value in asked.items():
        request.add_header(name, value)
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
