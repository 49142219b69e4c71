"""Getting the input of a reduce: its partition of every map output, from this host and from other nodes.

What is on other nodes comes in one request a node and job, several at a time, into one spool file each in the
attempt's scratch directory; a connection that breaks is resumed at the byte where it broke.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path

from disco_rq.errors import CorruptData, DataError
from disco_rq.outputs.addresses import split_address
from disco_rq.outputs.locator import Locator, Server
from disco_rq.outputs.remote import NETWORK_ERRORS, NODE_PATIENCE_S, Patience, ask_now, reason
from disco_rq.outputs.wire import CHUNK_BYTES, FRAME, FrameKind, partitions_path
from disco_rq.records import FileSource, Source, read_blocks
from disco_rq.records.blocks import Block
from disco_rq.records.spool import private

__all__ = ["reduce_sources"]

NODES_AT_A_TIME = 8

_BUFFER_BYTES = 256 << 10


def reduce_sources(
    locator: Locator,
    outputs: Sequence[str],
    partition: int,
    scratch: Path,
    *,
    patience_s: float = NODE_PATIENCE_S,
) -> list[Source]:
    """One source for each map output, in order; all that are remote have been fetched into ``scratch``.

    Raises ``CorruptData`` for outputs that are gone, or whose node cannot be reached for ``patience_s``:
    ``url`` is the address of the first of them, ``urls`` has those that are known to be lost with it.
    """
    sources: dict[str, Source] = {}
    remote: dict[tuple[str, str], list[str]] = {}  # by node and job: a request is about the files of one job
    gone: list[str] = []
    for address in outputs:
        path = locator.path(address)
        if path is None:
            node, job, _ = split_address(address)
            remote.setdefault((node, job), []).append(address)
        elif path.exists():
            sources[address] = FileSource(path, address)
        else:
            gone.append(address)
    if gone:
        raise _lost(gone, "the file is gone")
    fetches = [
        _Fetch(locator, addresses, partition, scratch / f"fetched-{number}", patience_s)
        for number, addresses in enumerate(remote.values())
    ]
    for source in _run(fetches):
        sources[source.name] = source
    return [sources[address] for address in outputs]


def _lost(addresses: Sequence[str], why: str) -> CorruptData:
    more = f" (and {len(addresses) - 1} more)" if len(addresses) > 1 else ""
    return CorruptData(f"cannot read {addresses[0]}{more}: {why}", addresses[0], urls=tuple(addresses))


def _run(fetches: Sequence[_Fetch]) -> Iterator[_Spooled]:
    if not fetches:
        return
    with ThreadPoolExecutor(min(len(fetches), NODES_AT_A_TIME), "fetch") as pool:
        running = [pool.submit(fetch.run) for fetch in fetches]
        try:
            for future in as_completed(running):
                yield from future.result()
        except BaseException:  # also a time limit that strikes here: the threads must not go on
            for fetch in fetches:
                fetch.abort()
            raise


@dataclass(frozen=True, slots=True)
class _Spooled:
    """The fetched partition of one map output."""

    path: Path
    offset: int
    name: str

    def blocks(self, partition: int) -> Iterator[Block]:
        """The blocks. Raises ``CorruptData`` if they were not whole and unaltered on their node."""
        with open(self.path, "rb", buffering=_BUFFER_BYTES) as file:
            file.seek(self.offset)
            yield from read_blocks(file, partition, self.name)


class _Fetch:
    """The outputs of one job on one node, fetched in the order of their addresses."""

    def __init__(
        self, locator: Locator, addresses: Sequence[str], partition: int, spool: Path, patience_s: float
    ) -> None:
        self._locator = locator
        self._addresses = addresses
        self._partition = partition
        self._spool = spool
        self._stop = threading.Event()
        self._patience = Patience(patience_s, self._stop)
        self._done: list[_Spooled] = []
        self._start = 0  # in the spool: of the output that is coming
        self._got = 0  # bytes of it

    def run(self) -> list[_Spooled]:
        """Fetch them all. For a thread."""
        self._patience.renew()
        with open(self._spool, "wb", buffering=_BUFFER_BYTES, opener=private) as spool:
            while self._rest and not self._stop.is_set():
                try:
                    with self._asked() as body:
                        self._receive(body, spool.write)
                except _Trouble as trouble:
                    if not self._patience.wait():
                        node = split_address(self._rest[0])[0]
                        raise _lost(
                            self._rest, f"the data server of node {node} cannot be reached: {trouble}"
                        ) from trouble
        return self._done

    def abort(self) -> None:
        """End ``run`` soon, from another thread."""
        self._stop.set()

    @property
    def _rest(self) -> Sequence[str]:
        """What is not there completely."""
        return self._addresses[len(self._done) :]

    @contextlib.contextmanager
    def _asked(self) -> Iterator[_Body]:
        names = [split_address(address) for address in self._rest]
        offsets = [self._got] + [0] * (len(names) - 1)
        lines = [f"{name} {offset}\n" for (_, _, name), offset in zip(names, offsets, strict=True)]
        path = partitions_path(names[0][1], self._partition)
        try:
            response = ask_now(self._server, path, body="".join(lines).encode())
        except FileNotFoundError:
            raise _Trouble("it knows no such request") from None
        except NETWORK_ERRORS as error:
            raise _Trouble(reason(error)) from error
        with contextlib.closing(response):
            yield _Body(response)

    def _server(self) -> Server:
        try:
            return self._locator.server(self._rest[0])
        except DataError as error:
            if error.url is None:
                raise
            raise _lost(self._rest, str(error.args[0])) from None

    def _receive(self, body: _Body, write: Callable[[bytes], object]) -> None:
        """Take the frames of one answer, which is about ``_rest``."""
        asked = self._rest
        lost: dict[str, str] = {}
        while not self._stop.is_set():
            kind, line, length = FRAME.unpack(b"".join(body.read(FRAME.size)))
            if kind == FrameKind.LOST:
                lost[asked[line]] = b"".join(body.read(length)).decode(errors="replace")
                continue
            if lost:  # the server tells of all that are not there before it sends the rest
                raise _lost(list(lost), next(iter(lost.values())))
            if kind == FrameKind.DONE:
                if self._rest:
                    raise _Trouble("its answer is not complete")
                return
            address = asked[line]
            if address != self._rest[0]:
                raise _Trouble("its answer is out of order")
            if kind == FrameKind.DATA:
                for piece in body.read(length):
                    write(piece)
                    self._got += len(piece)
                    self._patience.renew()
            elif kind == FrameKind.END:
                self._done.append(_Spooled(self._spool, self._start, address))
                self._start, self._got = self._start + self._got, 0
                self._patience.renew()
            else:
                raise _Trouble(f"its answer has a frame of unknown kind {kind}")


class _Trouble(Exception):
    """The connection broke, or what came makes no sense: worth another try."""


class _Body:
    """The body of an answer. What comes before it breaks is not lost."""

    def __init__(self, response: HTTPResponse) -> None:
        self._response = response

    def read(self, size: int) -> Iterator[bytes]:
        """Exactly so many bytes, in pieces as they come."""
        while size:
            try:
                piece = self._response.read1(min(size, CHUNK_BYTES))
            except NETWORK_ERRORS as error:
                raise _Trouble(reason(error)) from error
            if not piece:
                raise _Trouble("the connection was cut")
            yield piece
            size -= len(piece)
