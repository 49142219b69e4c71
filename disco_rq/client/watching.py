"""Waiting in an event loop: one question to Redis for all who wait, however many jobs they wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from disco_rq.store.live import Live

__all__ = ["Watcher"]

_PAUSE_S = 0.02
"""Between two looks: many jobs may have much to tell."""


@dataclass(eq=False, slots=True)
class _Waiter:
    offsets: Mapping[str, str]
    heard: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Watcher:
    """Wakes whoever waits for a stream to have more. Belongs to the loop in which it is first used."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._waiters: set[_Waiter] = set()
        self._joined = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def beyond(self, offsets: Mapping[str, str], timeout_s: float) -> None:
        """Until one of the streams (by key) has more than that, or the time is up. ``ConnectionLost``."""
        waiter = _Waiter(offsets)
        self._waiters.add(waiter)
        self._joined.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._watch(), name="disco-rq-watcher")
        try:
            async with asyncio.timeout(timeout_s):
                await waiter.heard
        except TimeoutError:
            pass
        finally:
            self._waiters.discard(waiter)

    async def _watch(self) -> None:
        try:
            while self._waiters:
                await self._look()
                await asyncio.sleep(_PAUSE_S)
        except Exception as error:  # noqa: BLE001  whatever it is, those who wait are to know
            for waiter in self._waiters:
                if not waiter.heard.done():
                    waiter.heard.set_exception(error)

    async def _look(self) -> None:
        """Ask for all who wait, until one of them can go on, or another one has come."""
        self._joined.clear()
        asked = asyncio.create_task(self._live.beyond(_together(self._waiters)))
        joined = asyncio.create_task(self._joined.wait())
        try:
            await asyncio.wait((asked, joined), return_when=asyncio.FIRST_COMPLETED)
        finally:
            joined.cancel()
            if not asked.done():
                asked.cancel()  # its connection is closed
        await asyncio.wait((asked,))  # and not itself: that would hide that this task is cancelled
        if not asked.cancelled():
            found = asked.result()
            for waiter in self._waiters:
                if not waiter.heard.done() and not found.isdisjoint(waiter.offsets):
                    waiter.heard.set_result(None)

    async def close(self) -> None:
        """Idempotent. Who still waits does so to the end of his time."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


def _together(waiters: set[_Waiter]) -> dict[str, str]:
    """Each stream that somebody waits for, with the first of their offsets."""
    offsets: dict[str, str] = {}
    for waiter in waiters:
        for key, offset in waiter.offsets.items():
            if key not in offsets or _order(offset) < _order(offsets[key]):
                offsets[key] = offset
    return offsets


def _order(offset: str) -> tuple[int, int]:
    ms, _, number = offset.partition("-")
    return int(ms), int(number or 0)
