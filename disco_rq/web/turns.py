"""Requests that may take long, or much memory, wait for their turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from disco_rq.views.problem import Problem

__all__ = ["Turns"]

AT_A_TIME = 4
MOST_WAITING = 32
LONGEST_S = 30.0
"""From the question to the answer."""


class Turns:
    """Threads of their own for such requests, few of them. For one event loop."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(AT_A_TIME, "turns")
        self._asked = 0

    async def take(self, handle: Callable[[Any], Any], asked: Any) -> Any:
        """What ``handle(asked)`` gives. ``Problem`` "busy": too many wait already, or it takes too long. It
        is not broken off then, and its place is not free before it ends.
        """
        if self._asked >= AT_A_TIME + MOST_WAITING:
            raise Problem("busy", "too many are asking for as much: try again")
        self._asked += 1
        future = asyncio.get_running_loop().run_in_executor(self._pool, handle, asked)
        future.add_done_callback(self._leave)
        done, _ = await asyncio.wait([future], timeout=LONGEST_S)
        if not done:
            future.cancel()  # if it has not begun
            raise Problem("busy", f"there was no answer within {LONGEST_S:.0f} s: try again")
        return future.result()

    def _leave(self, future: asyncio.Future[Any]) -> None:
        self._asked -= 1
        if not future.cancelled():
            future.exception()  # somebody has waited for it, or nobody does any more
