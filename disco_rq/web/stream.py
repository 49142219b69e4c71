"""Server-sent events: the overview, and a job with its history, as they change."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import StreamingResponse

from disco_rq.errors import ConnectionLost, UnknownJob
from disco_rq.store.browsing import LiveStore
from disco_rq.views import shapes
from disco_rq.views.asked import EventId, OfJob, OfJobStream
from disco_rq.views.cluster import overview_of
from disco_rq.views.history import event_shape
from disco_rq.views.jobs import heads_of, job
from disco_rq.views.problem import Problem
from disco_rq.views.sources import Sources
from disco_rq.web.endpoint import asked_of, json_text

__all__ = ["Streams"]

OVERVIEW_S = 1.0
JOB_S = 0.5
"""How often what is shown is looked up, while anybody watches."""
REFRESH_S = 5.0
"""What has not changed is sent again after so long: clocks and rates move on."""
ALIVE_S = 15.0
RETRY_MS = 2_000
JUST_ENDED_MS = 10_000
MOST_JOBS = 100
MOST_STREAMS = 256
HEADERS = {"X-Accel-Buffering": "no"}  # a proxy must not hold events back

_CLOCKS = {"now", "now_ms", "seen", "seen_ms", "load", "memory_free", "disk_free", "rate", "remaining_s"}


class Streams:
    """All live connections. What several of them show is looked up once."""

    def __init__(self, sources: Sources, live: LiveStore) -> None:
        self._sources = sources
        self._live = live
        self.closing = False
        """All connections are to end."""
        self._open = 0
        self._shared: dict[str, tuple[float, asyncio.Future[Any]]] = {}

    async def overview(self, request: Request) -> StreamingResponse:
        return self._stream(self._overviews(request.headers.get("last-event-id", "")))

    async def job(self, request: Request) -> StreamingResponse:
        asked = asked_of(request, OfJobStream)
        after = request.headers.get("last-event-id") or asked.after or "0-0"
        try:
            msgspec.convert(after, EventId)
        except msgspec.ValidationError:
            raise Problem("bad-request", "Last-Event-ID is no id of an event") from None
        await run_in_threadpool(self._sources.view.head, asked.job)
        return self._stream(self._job_events(asked.job, after))

    def _stream(self, events: AsyncIterator[bytes]) -> StreamingResponse:
        if self._open >= MOST_STREAMS:
            raise Problem("refused", f"{MOST_STREAMS} live connections are open already")
        return StreamingResponse(self._counted(events), media_type="text/event-stream", headers=HEADERS)

    async def _counted(self, events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        self._open += 1
        try:
            yield f"retry: {RETRY_MS}\n\n".encode()
            async for event in events:
                yield event
        except ConnectionLost:
            return  # the browser comes back by itself
        finally:
            self._open -= 1

    # -- what they send

    async def _overviews(self, last_id: str) -> AsyncIterator[bytes]:
        sent_at = 0.0
        while not self.closing:
            view = await self._share("", OVERVIEW_S, self._read_overview)
            digest = _digest(view)
            now = time.monotonic()
            if digest != last_id or (sent_at and now - sent_at > REFRESH_S):
                yield _event("overview", view, digest)
                last_id = digest
                sent_at = now
            elif not sent_at:
                yield b": .\n\n"  # it is what the browser has
                sent_at = now
            await asyncio.sleep(OVERVIEW_S)

    def _read_overview(self) -> shapes.LiveOverview:
        view = self._sources.view
        cluster = view.cluster()
        active = view.heads(cluster.active)
        recent = view.heads(view.job_names(0, MOST_JOBS - 1))
        shown = {head.name: head for head in active[:MOST_JOBS]}
        for head in recent:
            ended = head.moment("ended")
            if ended is not None and cluster.now_ms - ended < JUST_ENDED_MS:
                shown[head.name] = head
        heads = sorted(heads_of(view, list(shown.values())), key=lambda head: -head.submitted)
        return shapes.LiveOverview(overview_of(self._sources, cluster, active), heads)

    async def _job_events(self, name: str, after: str) -> AsyncIterator[bytes]:
        last_digest, sent_at = "", 0.0
        while not self.closing:
            try:
                view = await self._share(name, JOB_S, lambda: job(self._sources, OfJob(job=name)))
            except UnknownJob:
                yield _event("gone", {})
                return
            now = time.monotonic()
            digest = _digest(view)
            if digest != last_digest or (view.state == "active" and now - sent_at > REFRESH_S):
                yield _event("job", view)
                last_digest, sent_at = digest, now
            elif now - sent_at > ALIVE_S:
                yield b": .\n\n"
                sent_at = now
            over = view.state != "active"
            while events := await self._live.events(name, after, block_ms=1 if over else int(JOB_S * 1000)):
                for event in events:
                    yield _event("event", event_shape(event), event.offset)
                after = events[-1].offset
                if not over:
                    break
            if over:
                yield _event("end", {"state": view.state})
                return

    async def _share(self, key: str, fresh_s: float, read: Callable[[], Any]) -> Any:
        """What ``read`` gives, asked at most every ``fresh_s`` for all connections together."""
        now = time.monotonic()
        self._shared = {
            known: entry for known, entry in self._shared.items() if now - entry[0] < max(fresh_s, OVERVIEW_S)
        }
        if key not in self._shared or now - self._shared[key][0] > fresh_s * 0.9:
            self._shared[key] = now, asyncio.ensure_future(run_in_threadpool(read))
        # A visitor who leaves must not take the answer from the others.
        return await asyncio.shield(self._shared[key][1])


def _event(kind: str, view: Any, id: str = "") -> bytes:
    head = f"event: {kind}\n" + (f"id: {id}\n" if id else "")
    return head.encode() + b"data: " + json_text(view) + b"\n\n"


def _digest(view: Any) -> str:
    """Tells whether something has changed but the clocks."""
    return hashlib.blake2b(json_text(_without_clocks(msgspec.to_builtins(view))), digest_size=8).hexdigest()


def _without_clocks(view: Any) -> Any:
    if isinstance(view, dict):
        return {name: _without_clocks(value) for name, value in view.items() if name not in _CLOCKS}
    if isinstance(view, list):
        return [_without_clocks(entry) for entry in view]
    return view
