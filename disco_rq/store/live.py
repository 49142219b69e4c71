"""What a client in an event loop asks while it waits, over redis.asyncio, and so without a thread."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from disco_rq.errors import ConnectionLost
from disco_rq.store import keys
from disco_rq.store.address import shown_address
from disco_rq.store.clients import open_async_client
from disco_rq.store.connection import AWAY_PATIENCE_S, MAX_BLOCK_S, SOCKET_TIMEOUT_S
from disco_rq.store.history import Event, events_of

__all__ = ["Live", "Seen", "commits_of", "history_of"]

T = TypeVar("T")

_AT_ONCE = 8
"""So many connections short questions take at most, however many wait."""
_PAUSE_S, _PAUSE_MAX_S = 0.05, 1.0


def history_of(name: str) -> str:
    """The stream of a job's history, to be waited for."""
    return keys.JobKeys(name).events


def commits_of(name: str) -> str:
    """The stream of its results."""
    return keys.JobKeys(name).commits


class Seen(NamedTuple):
    """A job at one moment."""

    is_active: bool  # or else it has ended, is not known, or cannot be read
    event: str  # the last line of its history before that moment


class Live:
    """One Redis. As long as it is away a question is asked again, for half a minute: then
    ``ConnectionLost``.
    """

    def __init__(self, url: str) -> None:
        self._address = shown_address(url)
        self._redis = open_async_client(
            url, socket_connect_timeout=SOCKET_TIMEOUT_S, socket_timeout=SOCKET_TIMEOUT_S
        )
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def look(self, name: str) -> Seen:
        """A job as it is now."""
        job = keys.JobKeys(name)

        async def ask() -> list[Any]:
            async with self._turns:
                pipe = self._redis.pipeline(transaction=False)
                pipe.xrevrange(job.events, count=1)
                pipe.hget(job.job, "status")
                return await pipe.execute(raise_on_error=False)

        last, status = await self._patiently(ask)
        event = last[0][0].decode() if isinstance(last, list) and last else "0-0"
        return Seen(status == b"active", event)

    async def events(self, name: str, after: str, most: int) -> list[Event]:
        """Lines of a history after an id."""

        async def ask() -> Any:
            async with self._turns:
                return await self._redis.xrange(history_of(name), min=f"({after}", count=most)

        try:
            return events_of(await self._patiently(ask))
        except ResponseError:  # no history of ours
            return []

    async def beyond(self, offsets: Mapping[str, str]) -> set[str]:
        """The streams (by key) that have more than that; none, after some seconds. May be cancelled."""

        async def ask() -> Any:
            streams: Any = dict(offsets)
            return await self._redis.xread(streams, count=1, block=int(MAX_BLOCK_S * 1000))

        try:
            answer = await self._patiently(ask)
        except ResponseError:  # one of them is no stream: who waits for it is told when he looks
            await asyncio.sleep(_PAUSE_MAX_S)
            return set(offsets)
        found = answer or []
        return {key.decode() for key in (found if isinstance(found, dict) else (one[0] for one in found))}

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """A cancellation holds, also one that comes as the command has just been sent: ``asyncio.wait_for``,
        which redis-py calls, loses it on Python 3.11.
        """
        since, pause_s = None, _PAUSE_S
        heard = _cancellations()
        while True:
            try:
                answer = await ask()
                if _cancellations() > heard:
                    raise asyncio.CancelledError
                return answer
            except (RedisConnectionError, RedisTimeoutError, OSError) as error:
                since = time.monotonic() if since is None else since
                if time.monotonic() - since > AWAY_PATIENCE_S:
                    raise ConnectionLost(f"Redis at {self._address} cannot be reached: {error}") from error
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _PAUSE_MAX_S)

    async def close(self) -> None:
        """Idempotent."""
        await self._redis.aclose()


def _cancellations() -> int:
    """How often the cancellation of this task was asked for."""
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()
