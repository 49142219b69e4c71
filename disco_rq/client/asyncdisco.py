"""The client of a cluster for asyncio: ``Disco``, with methods that are awaited."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, Unpack

from disco_rq.client.arguments import Inputs, JobArguments
from disco_rq.client.asyncjob import AsyncJob, OnCancel, Reader
from disco_rq.client.disco import Disco
from disco_rq.client.job import Job
from disco_rq.client.session import Session
from disco_rq.client.threads import Threads
from disco_rq.client.watching import Watcher
from disco_rq.errors import DiscoError, SettingsError
from disco_rq.model import BadEntry
from disco_rq.store.live import Live

__all__ = ["AsyncDisco"]

P = ParamSpec("P")
R = TypeVar("R")


def _of_cluster(
    method: Callable[Concatenate[Disco, P], R],
) -> Callable[Concatenate[AsyncDisco, P], Awaitable[R]]:
    """A method of ``Disco``, carried out in one of the threads."""

    @functools.wraps(method)
    async def call(self: AsyncDisco, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await self.threads.call(method, await self.opened(), *args, **kwargs)

    return call


def _by_name(
    method: Callable[Concatenate[AsyncJob, P], Awaitable[R]],
) -> Callable[Concatenate[AsyncDisco, str, P], Awaitable[R]]:
    """A method of ``AsyncJob`` that takes the job's name first."""

    @functools.wraps(method)
    async def call(self: AsyncDisco, name: str, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await method(await self._named(name), *args, **kwargs)

    return call


class AsyncDisco:
    """As ``Disco``: ``async with AsyncDisco(url) as disco``, or ``await disco.close()`` at the end.

    It connects, or starts the embedded cluster, when it is first used, and belongs to the event loop of then.
    Waiting takes no thread, over redis.asyncio; what reads files, packs functions or asks Redis something
    short shares a few. ``on_cancel``: what becomes of a job whose ``new_job`` or ``wait`` is cancelled,
    "leave" or "kill".
    """

    def __init__(
        self, url: str | None = None, workers: int | None = None, *, on_cancel: OnCancel = "leave"
    ) -> None:
        if on_cancel not in ("leave", "kill"):
            raise SettingsError(f'on_cancel={on_cancel!r}: it takes "leave" or "kill"')
        self.on_cancel: OnCancel = on_cancel
        self.threads = Threads()
        self._begin = functools.partial(Disco, url, workers)
        self._opening: asyncio.Task[Disco] | None = None
        self._is_closed = False
        self.live: Live
        self.watcher: Watcher
        self.session: Session

    async def __aenter__(self) -> Self:
        try:
            await self.opened()
        except BaseException:
            await asyncio.shield(self.close())
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def opened(self) -> Disco:
        """The ``Disco`` below. Raises ``ConnectionLost`` naming the address."""
        if self._is_closed:
            raise DiscoError("this AsyncDisco was closed")
        if self._opening is None:
            self._opening = asyncio.create_task(self._open())
        try:
            return await asyncio.shield(self._opening)
        except DiscoError:
            self._opening = None
            raise

    async def _open(self) -> Disco:
        disco = await self.threads.call(self._begin)
        self.session = disco.session
        self.live = Live(disco.url)
        self.watcher = Watcher(self.live)
        return disco

    async def close(self) -> None:
        """Close the connections, and end the embedded cluster if there is one. Idempotent."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._opening is not None:
            with suppress(DiscoError):  # it never opened
                disco = await self._opening
                await self.watcher.close()
                await self.live.close()
                await self.threads.call(disco.close)
        self.threads.close()

    async def _named(self, name: str) -> AsyncJob:
        return AsyncJob(self, Job(await self.opened(), name))

    # -- jobs

    async def new_job(self, name: str, input: Inputs, **arguments: Unpack[JobArguments]) -> AsyncJob:
        """Submit a job; as ``Disco.new_job``. Cancelled, it may have been submitted: ``on_cancel`` says what
        becomes of it.
        """
        disco = await self.opened()
        return await self._submitted(functools.partial(disco.new_job, name, input, **arguments))

    async def submit(
        self, job: type[Job], input: Inputs | None = None, **arguments: Unpack[JobArguments]
    ) -> AsyncJob:
        """Submit the job that a class describes; as ``Job.submit``."""
        disco = await self.opened()
        return await self._submitted(functools.partial(job.submit, disco, input, **arguments))

    async def _submitted(self, submit: Callable[[], Job]) -> AsyncJob:
        submitting = self.threads.call(submit)
        try:
            return AsyncJob(self, await asyncio.shield(submitting))
        except asyncio.CancelledError:
            if self.on_cancel == "kill":
                job = await asyncio.shield(submitting)
                if not job.is_shared:
                    await asyncio.shield(self.threads.call(job.kill))
            raise

    async def job(self, name: str) -> AsyncJob:
        """A job that was submitted before, by whomever. Raises ``UnknownJob``."""
        return AsyncJob(self, await self.threads.call((await self.opened()).job, name))

    async def results(self, job: Any, timeout: float = 2.0) -> Any:
        """Status and results of one job, or of several; as ``Disco.results``."""
        if isinstance(job, str):
            return await (await self._named(job)).results(timeout)
        disco = await self.opened()
        names = [one if isinstance(one, str) else getattr(one, "name", None) or one[0] for one in job]
        ends = [asyncio.ensure_future((await self._named(name)).end()) for name in names]
        if ends:
            try:
                await asyncio.wait(ends, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for end in ends:
                    end.cancel()
                await asyncio.gather(*ends, return_exceptions=True)
        return await self.threads.call(disco.results, names, 0)

    async def stream(self, name: str, reader: Reader | None = None) -> AsyncGenerator[Any, None]:
        """As ``AsyncJob.stream``. For ``async for``."""
        async with aclosing((await self._named(name)).stream(reader)) as pairs:
            async for pair in pairs:
                yield pair

    async def events(
        self, name: str, offset: str = "0-0", *, follow: bool = False
    ) -> AsyncGenerator[tuple[str, tuple[float, str, str]], None]:
        """As ``AsyncJob.events``. For ``async for``."""
        async with aclosing((await self._named(name)).events(offset, follow=follow)) as events:
            async for event in events:
                yield event

    async def bad_entries(self, name: str) -> AsyncGenerator[BadEntry, None]:
        """As ``AsyncJob.bad_entries``. For ``async for``."""
        async with aclosing((await self._named(name)).bad_entries()) as entries:
            async for entry in entries:
                yield entry

    wait = _by_name(AsyncJob.wait)
    retry = _by_name(AsyncJob.retry)
    to_arrow = _by_name(AsyncJob.to_arrow)
    to_pandas = _by_name(AsyncJob.to_pandas)
    to_polars = _by_name(AsyncJob.to_polars)
    stage_results = _by_name(AsyncJob.stage_results)
    jobinfo = _by_name(AsyncJob.jobinfo)
    jobspec = _by_name(AsyncJob.jobspec)
    story = _by_name(AsyncJob.story)
    log = _by_name(AsyncJob.log)
    profile_stats = _by_name(AsyncJob.profile_stats)
    oob_list = _by_name(AsyncJob.oob_list)
    oob_get = _by_name(AsyncJob.oob_get)
    kill = _by_name(AsyncJob.kill)
    clean = _by_name(AsyncJob.clean)
    purge = _by_name(AsyncJob.purge)
    pause = _by_name(AsyncJob.pause)
    resume = _by_name(AsyncJob.resume)

    joblist = _of_cluster(Disco.joblist)

    # -- the cluster

    async def http_url(self) -> str:
        """Address of the cluster's web page; as ``Disco.http_url``."""
        disco = await self.opened()
        return await self.threads.call(lambda: disco.http_url)

    nodeinfo = _of_cluster(Disco.nodeinfo)
    blacklist = _of_cluster(Disco.blacklist)
    whitelist = _of_cluster(Disco.whitelist)
    drain = _of_cluster(Disco.drain)
    forget = _of_cluster(Disco.forget)
