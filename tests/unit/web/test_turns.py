"""Requests that may take long wait for their turn, some of them, and not for ever."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from disco_rq.views.problem import Problem
from disco_rq.web import turns
from disco_rq.web.problem import problem_response
from disco_rq.web.turns import AT_A_TIME, MOST_WAITING, Turns
from tests.loops import run_coroutine


class Counted:
    """Counts how many are in it at a time; they stay until the gate opens."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.lock = threading.Lock()
        self.inside = self.most = 0

    def __call__(self, asked: Any) -> Any:
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        self.gate.wait(10)
        with self.lock:
            self.inside -= 1
        return asked


def test_so_many_run_at_a_time_so_many_wait_and_the_others_are_told_to_come_back() -> None:
    handle = Counted()

    async def ask() -> list[Any]:
        mine = Turns()
        many = AT_A_TIME + MOST_WAITING + 5
        asked = [asyncio.ensure_future(mine.take(handle, number)) for number in range(many)]
        while sum(one.done() for one in asked) < 5:
            await asyncio.sleep(0.01)
        handle.gate.set()
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert await mine.take(handle, "later") == "later"
        return answers

    answers = run_coroutine(ask())
    refused = [answer for answer in answers if isinstance(answer, Problem)]
    assert [answer for answer in answers if not isinstance(answer, Problem)] == list(
        range(AT_A_TIME + MOST_WAITING)
    )
    assert len(refused) == 5
    assert handle.most == AT_A_TIME
    told = problem_response(refused[0])
    assert (told.status_code, "retry-after" in told.headers) == (503, True)


def test_who_asks_gets_an_answer_in_time_also_when_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "LONGEST_S", 0.1)
    handle = Counted()

    async def ask() -> None:
        with pytest.raises(Problem, match="no answer within"):
            await Turns().take(handle, 1)
        handle.gate.set()

    run_coroutine(ask())


def test_what_an_answer_raises_is_raised_to_who_asked() -> None:
    def fails(asked: Any) -> None:
        raise Problem("unknown-job", asked)

    with pytest.raises(Problem, match="which"):
        run_coroutine(Turns().take(fails, "which"))
