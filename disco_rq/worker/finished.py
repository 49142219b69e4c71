"""What a horse has done and Redis does not know of yet, where its worker can reach it, too.

A task that keeps the interpreter to itself, in a loop of C code, lets no thread or signal handler of its
process run. So what was done before it in its batch is committed by the worker.
"""

from __future__ import annotations

import mmap
import os
import select
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from operator import attrgetter
from typing import Any

import msgpack

from disco_rq.model import StageResult, TaskId
from disco_rq.store.attempts import Attempt, Commit

__all__ = ["Finished"]

ROOM_BYTES = 1 << 20
"""More than a few small outputs are committed sooner."""

_ATTEMPT = ["job", "task.phase", "task.index", "number", "node", "worker"]
_RESULT = [field.name for field in fields(StageResult)]
_REST = [field.name for field in fields(Commit) if field.name not in ("attempt", "result")]
_values_of = [attrgetter(*names) for names in (_ATTEMPT, _RESULT, _REST)]


class Finished:
    """Commits that wait, in memory that a worker shares with its horse. Who holds it may change it.

    What holds it is a byte in a pipe, so that it can be waited for, and tried, by processes.
    """

    # Since when by the monotonic clock the first one waits (0: none does); bytes that are used.
    _HEAD = struct.Struct("dq")

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, ROOM_BYTES)
        # Those that this process has added, and the bytes that they take, as long as nobody commits them.
        self._own: list[Commit] = []
        self._own_bytes = 0
        self._token, self._token_back = os.pipe()
        os.set_blocking(self._token, False)
        os.write(self._token_back, b"t")

    @property
    def waits_s(self) -> float:
        """For how long the first one has waited; 0 if there is none. May be looked at without holding it."""
        since: float = self._HEAD.unpack_from(self._memory)[0]
        return time.monotonic() - since if since else 0.0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold it; waits for the other process, which commits what there is."""
        while not self._take():
            select.select([self._token], [], [])
        try:
            yield
        finally:
            os.write(self._token_back, b"t")

    @contextmanager
    def held_if_free(self) -> Iterator[bool]:
        """Hold it, if nobody else does just now."""
        if not self._take():
            yield False
            return
        try:
            yield True
        finally:
            os.write(self._token_back, b"t")

    def add(self, commit: Commit) -> bool:
        """False if it does not fit, by its size or by what is in it."""
        since, used = self._HEAD.unpack_from(self._memory)
        try:
            packed = msgpack.packb(
                [
                    of(part)
                    for of, part in zip(_values_of, (commit.attempt, commit.result, commit), strict=True)
                ],
                unicode_errors="surrogatepass",
            )
        except (OverflowError, TypeError, ValueError):  # a counter beyond 64 bits
            return False
        begin = self._HEAD.size + used
        if begin + len(packed) > ROOM_BYTES:
            return False
        self._memory[begin : begin + len(packed)] = packed
        self._HEAD.pack_into(self._memory, 0, since or time.monotonic(), used + len(packed))
        if used != self._own_bytes:  # the worker has committed what there was
            self._own = []
        self._own.append(commit)
        self._own_bytes = used + len(packed)
        return True

    def all(self) -> list[Commit]:
        """In the order in which they came."""
        used = self._HEAD.unpack_from(self._memory)[1]
        if not used:
            return []
        if used == self._own_bytes:
            return self._own
        unpacker = msgpack.Unpacker(
            unicode_errors="surrogatepass", strict_map_key=False, max_buffer_size=ROOM_BYTES
        )
        unpacker.feed(self._memory[self._HEAD.size : self._HEAD.size + used])
        return [_commit(*parts) for parts in unpacker]

    def clear(self) -> None:
        """They are committed."""
        self._HEAD.pack_into(self._memory, 0, 0.0, 0)

    def close(self) -> None:
        """In the worker, when the horse is gone."""
        os.close(self._token)
        os.close(self._token_back)
        self._memory.close()

    def _take(self) -> bool:
        try:
            return bool(os.read(self._token, 1))
        except BlockingIOError:
            return False


def _commit(attempt: list[Any], result: list[Any], rest: list[Any]) -> Commit:
    job, phase, index, *others = attempt
    return Commit(
        attempt=Attempt(job, TaskId(phase, index), *others),
        result=StageResult(**dict(zip(_RESULT, result, strict=True))),
        **dict(zip(_REST, rest, strict=True)),
    )
