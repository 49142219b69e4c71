"""Questions of an event loop: who is cancelled gets no answer."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from disco_rq.store.live import Live
from tests.loops import run_coroutine


def test_a_cancellation_holds_though_the_client_of_redis_loses_it() -> None:
    async def answers_all_the_same() -> str:
        with suppress(asyncio.CancelledError):  # as asyncio.wait_for of Python 3.11, if it is done just then
            await asyncio.sleep(60)
        return "answer"

    async def story() -> None:
        live = Live("redis://127.0.0.1:1")
        asking = asyncio.ensure_future(live._patiently(answers_all_the_same))
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await live.close()

    run_coroutine(story())


def test_who_was_cancelled_before_may_ask_while_he_tidies_up() -> None:
    async def answers() -> str:
        await asyncio.sleep(0)
        return "answer"

    async def tidies_up(live: Live) -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return await live._patiently(answers)
        return ""

    async def story() -> str:
        live = Live("redis://127.0.0.1:1")
        asking = asyncio.ensure_future(tidies_up(live))
        await asyncio.sleep(0)
        asking.cancel()
        told = await asking
        await live.close()
        return told

    assert run_coroutine(story()) == "answer"
