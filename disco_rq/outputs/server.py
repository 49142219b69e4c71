"""The data server of a node: its task outputs, logs, profiles, read-only over HTTP (``datawire`` says how).

Only files that tasks have made are there: names that match, in the directory of a job, no links. With a
secret each request needs a token of the job. ``/healthz`` says to whoever asks that the server answers.
"""

from __future__ import annotations

import contextlib
import hmac
import logging
import os
import re
import socket
import stat
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from disco_rq.errors import CorruptData
from disco_rq.machine.httpserver import HttpServer, welcome
from disco_rq.model import JOB_NAME
from disco_rq.outputs.datadir import TMP
from disco_rq.outputs.underway import SUFFIX, so_far
from disco_rq.outputs.wire import (
    CHUNK_BYTES,
    ENTRIES,
    FILE,
    OUTPUT,
    PROOF,
    FrameKind,
    Pass,
    keys_of_job,
    pack_frame,
    passes,
)
from disco_rq.records import open_output
from disco_rq.records.layout import read_place

__all__ = ["ServerWords", "data_app", "serve"]

log = logging.getLogger("disco_rq.dataserver")

BODY_MAX_BYTES = 8 << 20
"""What a request may hold: the names of some 300,000 map outputs."""
HEALTH = "/healthz"
FAREWELL_S = 2
"""For how long a server that is asked to end goes on with what it is sending."""

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


class ServerWords(NamedTuple):
    """What readers are told of a data server."""

    node: str
    life: str
    url: str


def serve(listener: socket.socket, root: Path, about: ServerWords, keys: Sequence[bytes]) -> None:
    """Serve the data directory on a socket that listens, until SIGTERM or SIGINT. ``keys``: ``data_keys``."""

    def accepted(job: str) -> Sequence[Pass]:
        return passes(keys_of_job(keys, job), *about)

    app = data_app(root, accepted if keys else None)
    HttpServer(app, farewell_s=FAREWELL_S, lifespan="off").serve_on(listener)


def data_app(root: Path, accepted: Callable[[str], Sequence[Pass]] | None) -> ASGIApp:
    """The ASGI application. ``accepted``: what opens a job's files; None: they are open to all."""
    files = _Files(root)

    def get_file(request: Request) -> Response:
        job, name = request.path_params["job"], request.path_params["file"]
        if name.endswith(SUFFIX) and OUTPUT.fullmatch(name.removesuffix(SUFFIX)):
            found = so_far(root / TMP, job, name.removesuffix(SUFFIX))
            headers = {} if found.nr_entries is None else {ENTRIES: str(found.nr_entries)}
            return Response(found.log, headers=headers, media_type="text/plain")
        return _file_response(files, request)

    async def get_partitions(request: Request) -> Response:
        body = bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > BODY_MAX_BYTES:
                return PlainTextResponse("too many files in one request", 413)
        return _partitions_response(files, request, bytes(body))

    app = Router(
        [
            Route("/{job}/{file}", get_file, methods=["GET"]),
            Route("/{job}/partitions/{partition:int}", get_partitions, methods=["POST"]),
        ],
        redirect_slashes=False,
    )
    return _Guard(app, accepted)


class _Guard:
    """Lets in who has a token of the job that is asked for, and answers with its proof; or all."""

    def __init__(self, app: ASGIApp, accepted: Callable[[str], Sequence[Pass]] | None) -> None:
        self._app = app
        self._accepted = accepted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == HEALTH:
            await PlainTextResponse("ok\n", headers={"Connection": "close"})(scope, receive, send)
            return
        proof = self._proof(scope) if self._accepted else b""
        if proof is None:
            headers = {"WWW-Authenticate": "Bearer", "Connection": "close"}
            await PlainTextResponse("wrong or missing token", 401, headers)(scope, receive, send)
            return

        async def send_with_proof(message: Message) -> None:
            if proof and message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (PROOF, proof)]
            await send(message)

        if not welcome(scope):
            headers = {"Retry-After": "1", "Connection": "close"}
            await PlainTextResponse("too many readers", 503, headers)(scope, receive, send_with_proof)
        else:
            await self._app(scope, receive, send_with_proof)

    def _proof(self, scope: Scope) -> bytes | None:
        """The answer to the token that was sent; None if it is none of the job's."""
        assert self._accepted is not None
        given = dict(scope["headers"]).get(b"authorization", b"")
        job = scope["path"].removeprefix("/").partition("/")[0]
        found = None
        # All are compared, so that the time does not tell which of them is nearly right.
        for one in self._accepted(job):
            if hmac.compare_digest(given, f"Bearer {one.token}".encode()):
                found = one.proof.encode()
        return found


class _Stream(StreamingResponse):
    """What a generator yields, run in threads since disks may keep it waiting; it is closed in the end, also
    when the reader has left.
    """

    def __init__(self, content: Generator[bytes, None, None], *options: Any, **more: Any) -> None:
        super().__init__(content, *options, **more)
        self._content = content

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._content.close()


class _Files:
    """What of a data directory may be read."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def open(self, job: str, name: str) -> BinaryIO:
        """Open a file for reading. ``FileNotFoundError`` for every name that is not a task's file."""
        if not JOB_NAME.fullmatch(job) or not FILE.fullmatch(name):
            raise FileNotFoundError(f"no file of a task: {job}/{name}")
        with self._directory(job) as directory:
            # A link could lead out of the directory, and a pipe would hold us up.
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise FileNotFoundError(f"no file of a task: {job}/{name}")
        file = open(fd, "rb", buffering=0)  # noqa: SIM115
        return open_output(file, name) if OUTPUT.fullmatch(name) else file

    def missing(self, job: str, names: Sequence[str]) -> dict[int, str]:
        """Which of the files are not there, by their number, and why."""
        found: dict[int, str] = {}
        try:
            with self._directory(job) as directory:
                for number, name in enumerate(names):
                    try:
                        os.stat(name, dir_fd=directory, follow_symlinks=False)
                    except OSError as error:
                        found[number] = _why(error)
        except OSError as error:
            return dict.fromkeys(range(len(names)), _why(error))
        return found

    @contextlib.contextmanager
    def _directory(self, job: str) -> Iterator[int]:
        root = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            directory = os.open(job, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=root)
        finally:
            os.close(root)
        try:
            yield directory
        finally:
            os.close(directory)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A line of a request: a file, and how much of its partition the reader has already."""

    file: str
    offset: int

    @classmethod
    def parse(cls, line: str) -> _Wanted:
        """Raises ``ValueError`` for anything but ``<file> <offset>``."""
        file, _, offset = line.partition(" ")
        if not OUTPUT.fullmatch(file) or not re.fullmatch(r"[0-9]{1,18}", offset):
            raise ValueError(f"not a task's output and an offset: {line!r}")
        return cls(file, int(offset))


def _partitions_response(files: _Files, request: Request, body: bytes) -> Response:
    job, partition = request.path_params["job"], request.path_params["partition"]
    if not JOB_NAME.fullmatch(job):
        return PlainTextResponse("no such file", 404)
    try:
        wanted = [_Wanted.parse(line) for line in body.decode("ascii").splitlines()]
    except ValueError as error:
        return PlainTextResponse(str(error), 400)
    return _Stream(_joined(_frames(files, job, partition, wanted)), media_type="application/octet-stream")


def _frames(files: _Files, job: str, partition: int, wanted: Sequence[_Wanted]) -> Iterator[bytes]:
    lost = files.missing(job, [want.file for want in wanted])
    for line, why in lost.items():
        yield pack_frame(FrameKind.LOST, line, why.encode())
    for line, want in enumerate(wanted):
        if line in lost:
            continue
        try:
            for piece in _blocks(files, job, want, partition):
                yield pack_frame(FrameKind.DATA, line, piece)
        except (OSError, CorruptData) as error:
            yield pack_frame(FrameKind.LOST, line, _why(error).encode())
        else:
            yield pack_frame(FrameKind.END, line)
    yield pack_frame(FrameKind.DONE)


def _blocks(files: _Files, job: str, want: _Wanted, partition: int) -> Iterator[bytes]:
    """The blocks of one partition as they are in the file: whoever decodes them checks them."""
    with files.open(job, want.file) as file:
        place = read_place(file, partition, want.file)
        left = place.length - want.offset
        if left < 0:
            raise CorruptData(f"its partition {partition} has become shorter")
        for piece in _pieces(file, place.offset + want.offset, left):
            left -= len(piece)
            yield piece
        if left:
            raise CorruptData("it is truncated")


def _joined(frames: Iterable[bytes]) -> Generator[bytes, None, None]:
    """The same bytes in pieces of a size worth sending."""
    buffer = bytearray()
    for frame in frames:
        buffer += frame
        if len(buffer) >= CHUNK_BYTES:
            yield bytes(buffer)
            buffer.clear()
    yield bytes(buffer)


def _file_response(files: _Files, request: Request) -> Response:
    try:
        file = files.open(request.path_params["job"], request.path_params["file"])
    except (OSError, CorruptData):
        return PlainTextResponse("no such file", 404)
    size = file.seek(0, os.SEEK_END)
    wanted = _range_of(request.headers.get("range"), size)
    if wanted is None:
        file.close()
        return PlainTextResponse("no such range", 416, {"Content-Range": f"bytes */{size}"})
    start, stop = wanted
    headers = {"Accept-Ranges": "bytes", "Content-Length": str(stop - start)}
    if stop - start < size:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    left = 0 if request.method == "HEAD" else stop - start
    return _Stream(
        _closing(file, start, left),
        206 if "Content-Range" in headers else 200,
        headers,
        "text/plain" if request.path_params["file"].endswith(".log") else "application/octet-stream",
    )


def _range_of(header: str | None, size: int) -> tuple[int, int] | None:
    """``(start, stop)`` to send: the whole file if no single range is. None: outside the file."""
    match = _RANGE.fullmatch(header.replace(" ", "")) if header else None
    if match is None or not any(match.groups()):
        return 0, size
    first, last = match.groups()
    if not first:
        return (max(size - int(last), 0), size) if int(last) and size else None
    if last and int(last) < int(first):
        return 0, size  # not a range, so the header does not count (RFC 9110)
    stop = min(int(last) + 1, size) if last else size
    return (int(first), stop) if int(first) < size else None


def _closing(file: BinaryIO, start: int, length: int) -> Generator[bytes, None, None]:
    with file:
        yield from _pieces(file, start, length)


def _pieces(file: BinaryIO, start: int, length: int) -> Iterator[bytes]:
    """The bytes of a file from ``start`` on, fewer than ``length`` where it ends before."""
    file.seek(start)
    while length and (piece := file.read(min(length, CHUNK_BYTES))):
        yield piece
        length -= len(piece)


def _why(error: OSError | CorruptData) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
