"""What a job was given and what it left, page by page: inputs, outputs, OOB results, history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from redis.exceptions import RedisError

from disco_rq.errors import ConnectionLost
from disco_rq.model import OOB_KEY, MapInput, TaskId
from disco_rq.oobvalues import OOBKind, oob_kind
from disco_rq.store import keys, unreadable
from disco_rq.store.address import shown_address
from disco_rq.store.clients import open_async_client
from disco_rq.store.connection import SOCKET_TIMEOUT_S, Connection
from disco_rq.store.history import Event, events_of
from disco_rq.store.inputheads import input_heads

MOST_KEYS = 200_000
"""OOB keys are searched and sorted among so many."""


class OOBEntry(NamedTuple):
    key: str
    kind: OOBKind
    size: int  # bytes
    task: str  # that put it


class OOBKeys(NamedTuple):
    total: int
    found: list[str]  # sorted
    truncated: bool  # there were too many to look at all


class BrowseStore:
    """Reads of one job's things. A job that is not there has none."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._redis = connection.redis

    def inputs(self, name: str, first: int, most: int, most_bytes: int) -> list[tuple[int, MapInput]]:
        """(index of the map, what it reads): of so many maps, as ``input_heads`` tells them."""
        return input_heads(self._connection, name, range(first, first + most), most_bytes)

    def input(self, name: str, index: int) -> MapInput | None:
        return next((entry for _, entry in input_heads(self._connection, name, [index])), None)

    def outputs(self, name: str, tasks: Sequence[TaskId]) -> list[str | None]:
        """The address of each task's committed output."""
        key = keys.JobKeys(name).outputs
        found: Any = unreadable.answer(lambda: self._redis.hmget(key, list(map(str, tasks))) if tasks else [])
        found = [None] * len(tasks) if found is None else found
        return [None if one is None else unreadable.read("an address", one, bytes.decode) for one in found]

    # -- OOB results

    def oob_keys(self, name: str, q: str) -> OOBKeys:
        """The committed keys that contain ``q``."""
        key = keys.JobKeys(name).oob
        total = int(unreadable.answer(lambda: self._redis.hlen(key)) or 0)
        if total > MOST_KEYS:  # the one that is meant can still be found
            return OOBKeys(total, [q] if OOB_KEY.fullmatch(q) and self._redis.hexists(key, q) else [], True)
        # A scan would bring the values along.
        found = unreadable.names(f"OOB key of {name}", unreadable.answer(lambda: self._redis.hkeys(key)))
        return OOBKeys(total, sorted(text for text in found if q in text), False)

    def oob_entries(self, name: str, wanted: Sequence[str]) -> list[OOBEntry]:
        job = keys.JobKeys(name)
        pipe = self._redis.pipeline(transaction=False)
        for key in wanted:
            pipe.hstrlen(job.oob, key)
            pipe.hget(job.oob_types, key)
            pipe.hget(job.oob_owners, key)
        told = unreadable.answers(pipe) if wanted else []
        return [
            OOBEntry(
                key,
                oob_kind(told[3 * i + 1]),
                told[3 * i] or 0,
                (told[3 * i + 2] or b"").decode("utf-8", "replace"),
            )
            for i, key in enumerate(wanted)
        ]

    def oob_value(self, name: str, key: str) -> bytes | None:
        """As it is stored: text, JSON or bytes."""
        oob = keys.JobKeys(name).oob
        value: Any = unreadable.answer(lambda: self._redis.hget(oob, key))
        return None if value is None else bytes(value)

    # -- history

    def events(self, name: str, *, after: str, before: str, most: int) -> list[Event]:
        """Lines of the history, oldest first: the first ones after an id, else the last ones before one."""
        key = keys.JobKeys(name).events
        if after:
            return events_of(unreadable.answer(lambda: self._redis.xrange(key, min=f"({after}", count=most)))
        latest = f"({before}" if before else "+"
        entries: Any = unreadable.answer(lambda: self._redis.xrevrange(key, max=latest, count=most))
        return events_of(reversed(entries or []))


class LiveStore:
    """Waits for the histories of jobs, in an event loop."""

    def __init__(self, url: str) -> None:
        self._address = shown_address(url)
        self._redis = open_async_client(
            url, socket_connect_timeout=SOCKET_TIMEOUT_S, socket_timeout=SOCKET_TIMEOUT_S
        )

    async def events(self, name: str, after: str, *, block_ms: int, most: int = 500) -> list[Event]:
        """Lines after an id; waits for the first one at most so long. ``ConnectionLost`` at once."""
        key = keys.JobKeys(name).events
        try:
            answer: Any = await self._redis.xread({key: after}, count=most, block=block_ms)
        except RedisError as error:
            raise ConnectionLost(f"Redis at {self._address} cannot be reached: {error}") from error
        if not answer:
            return []
        entries = answer[0][1] if isinstance(answer, list) else answer[key.encode()][0]
        return events_of(entries)

    async def close(self) -> None:
        await self._redis.aclose()
