"""One job of a cluster, for asyncio."""

from __future__ import annotations

import asyncio
import functools
import math
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable
from contextlib import aclosing, suppress
from typing import Any, Concatenate, Literal, ParamSpec, Protocol, TypeVar

from disco_rq.client.job import Job
from disco_rq.client.reading import result_iterator
from disco_rq.client.results import Results
from disco_rq.client.session import Session
from disco_rq.client.streaming import LOOK_S, ResultStream
from disco_rq.client.threads import Threads
from disco_rq.client.waiting import wait_ready
from disco_rq.client.watching import Watcher
from disco_rq.errors import JobError, UnknownJob
from disco_rq.model import BadEntry, ResultStatus
from disco_rq.store.live import Live, commits_of, history_of

__all__ = ["AsyncJob", "OnCancel", "Opened"]

P = ParamSpec("P")
R = TypeVar("R")
OnCancel = Literal["leave", "kill"]
Reader = Callable[..., Iterable[Any]]

_EVENTS = 500


class Opened(Protocol):
    """An ``AsyncDisco`` that is open."""

    session: Session
    threads: Threads
    live: Live
    watcher: Watcher
    on_cancel: OnCancel


def _awaitable(
    method: Callable[Concatenate[Job, P], R],
) -> Callable[Concatenate[AsyncJob, P], Awaitable[R]]:
    """A method of ``Job``, carried out in one of the threads."""

    @functools.wraps(method)
    async def call(self: AsyncJob, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await self._disco.threads.call(method, self._job, *args, **kwargs)

    return call


class AsyncJob:
    """A ``Job`` whose methods are awaited. ``await job`` is ``await job.wait()``; ``async for pair in job``
    gives the pairs of its results, in order, when it has ended.
    """

    def __init__(self, disco: Opened, job: Job) -> None:
        """Made by ``AsyncDisco``."""
        self._disco = disco
        self._job = job
        self.name = job.name

    @property
    def is_shared(self) -> bool:
        """As ``Job.is_shared``."""
        return self._job.is_shared

    def __repr__(self) -> str:
        return f"<AsyncJob {self.name}>"

    def __await__(self) -> Generator[Any, None, Results]:
        return self.wait().__await__()

    def __aiter__(self) -> AsyncGenerator[Any, None]:
        return self._pairs()

    async def wait(
        self,
        timeout: float | None = None,
        poll_interval: float = LOOK_S,
        clean: bool = False,
        on_cancel: OnCancel | None = None,
    ) -> Results:
        """The addresses of its results, when it has ended. Raises what ``Job.wait`` does.

        No thread waits. Cancelled, it leaves the job running; with ``on_cancel="kill"`` it kills it first,
        unless it is a ``unique`` job that was there before. Without it the ``AsyncDisco`` says which.
        """
        try:
            await self.end(timeout, poll_interval)
            results = await self._disco.threads.call(wait_ready, self._disco.session, self.name, 0)
        except asyncio.CancelledError:
            if (on_cancel or self._disco.on_cancel) == "kill" and not self._job.is_shared:
                with suppress(UnknownJob):
                    await asyncio.shield(self.kill())
            raise
        if clean:
            await self.clean()
        return results

    async def end(self, timeout: float | None = None, poll_interval: float = LOOK_S) -> None:
        """Until it has ended, or nobody knows it. ``JobError`` when the time is up."""
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        while (seen := await self._disco.live.look(self.name)).is_active:
            left = deadline - time.monotonic()
            if left <= 0:
                raise JobError(f"Timeout: job {self.name} is still active after {timeout:g} s; it goes on")
            await self._disco.watcher.beyond({history_of(self.name): seen.event}, min(poll_interval, left))

    async def _pairs(self) -> AsyncGenerator[Any, None]:
        results = await self.wait()
        async with aclosing(self._disco.threads.iterate(lambda: result_iterator(results))) as pairs:
            async for pair in pairs:
                yield pair

    async def results(self, timeout: float = 2.0) -> tuple[ResultStatus, list[str]]:
        """``(status, addresses)``; waits at most ``timeout`` seconds for the job's end."""
        with suppress(JobError):
            await self.end(timeout)
        return await self._disco.threads.call(self._job.results, 0)

    async def stream(self, reader: Reader | None = None) -> AsyncGenerator[Any, None]:
        """The pairs of each result as soon as it is committed; as ``Job.stream``. For ``async for``."""
        results = ResultStream(self._disco.session, self.name, reader)
        while not results.has_ended:
            found = await self._disco.threads.call(results.look)
            for task, address in found:
                begin = functools.partial(results.pairs_of, task, address)
                async with aclosing(self._disco.threads.iterate(begin)) as pairs:
                    async for pair in pairs:
                        yield pair
            if not found and not results.has_ended:
                offsets = {commits_of(self.name): results.offset, history_of(self.name): results.event}
                await self._disco.watcher.beyond(offsets, LOOK_S)

    async def events(
        self, offset: str = "0-0", *, follow: bool = False
    ) -> AsyncGenerator[tuple[str, tuple[float, str, str]], None]:
        """The job's history after ``offset``, oldest first; as ``Job.events``. For ``async for``.

        With ``follow`` it goes on to the job's end.
        """
        await self._disco.threads.call(self._disco.session.store.record, self.name)
        while True:
            seen = await self._disco.live.look(self.name)
            while found := await self._disco.live.events(self.name, offset, _EVENTS):
                for event in found:
                    offset = event.offset
                    yield offset, (event.timestamp, event.host, event.message)
            if not follow or not seen.is_active:
                return
            await self._disco.watcher.beyond({history_of(self.name): offset}, LOOK_S)

    async def bad_entries(self) -> AsyncGenerator[BadEntry, None]:
        """As ``Job.bad_entries``. For ``async for``."""
        async with aclosing(self._disco.threads.iterate(self._job.bad_entries)) as entries:
            async for entry in entries:
                yield entry

    async def to_arrow(self) -> Any:
        """As ``Job.to_arrow``."""
        await self.end()
        return await self._disco.threads.call(self._job.to_arrow)

    async def to_pandas(self) -> Any:
        """As ``Job.to_pandas``."""
        await self.end()
        return await self._disco.threads.call(self._job.to_pandas)

    async def to_polars(self) -> Any:
        """As ``Job.to_polars``."""
        await self.end()
        return await self._disco.threads.call(self._job.to_polars)

    async def retry(self, /, *, keep: bool = False, **changes: Any) -> AsyncJob:
        """As ``Job.retry``."""
        retry: Callable[..., Job] = self._job.retry
        return AsyncJob(self._disco, await self._disco.threads.call(retry, keep=keep, **changes))

    stage_results = _awaitable(Job.stage_results)
    jobinfo = _awaitable(Job.jobinfo)
    jobspec = _awaitable(Job.jobspec)
    story = _awaitable(Job.story)
    log = _awaitable(Job.log)
    profile_stats = _awaitable(Job.profile_stats)
    oob_list = _awaitable(Job.oob_list)
    oob_get = _awaitable(Job.oob_get)
    kill = _awaitable(Job.kill)
    clean = _awaitable(Job.clean)
    purge = _awaitable(Job.purge)
    pause = _awaitable(Job.pause)
    resume = _awaitable(Job.resume)
