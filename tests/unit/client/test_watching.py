"""One question to Redis for all who wait."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from disco_rq.client.watching import Watcher
from tests.loops import run_coroutine


class SlowToLeave:
    """A Redis of which a question takes a moment to be given up."""

    def __init__(self) -> None:
        self.is_leaving = asyncio.Event()

    async def beyond(self, offsets: Mapping[str, str]) -> set[str]:
        try:
            await asyncio.sleep(60)
        finally:
            self.is_leaving.set()
            for _ in range(20):
                await asyncio.sleep(0)
        return set(offsets)


def test_it_is_closed_in_the_moment_in_which_it_asks_anew() -> None:
    async def story() -> bool:
        redis: Any = SlowToLeave()
        watcher = Watcher(redis)
        waiting = [asyncio.ensure_future(watcher.beyond({"one": "0-0"}, 60))]
        await asyncio.sleep(0.01)
        waiting.append(asyncio.ensure_future(watcher.beyond({"other": "0-0"}, 60)))
        await redis.is_leaving.wait()
        closing = asyncio.ensure_future(watcher.close())
        ended, _ = await asyncio.wait((closing,), timeout=20)
        for one in waiting:
            one.cancel()
        return bool(ended)

    assert run_coroutine(story())
