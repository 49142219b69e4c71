"""How long the rest takes is told at the pace that was seen, and no more exactly than it is known."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from disco_rq.client.pace import TRUSTED_S, Pace, about
from disco_rq.client.progress import Bars, Lines
from disco_rq.store.jobs import JobRecord


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What time it is."""
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


def test_the_rest_takes_as_long_as_what_was_seen_of_it(clock: list[float]) -> None:
    pace = Pace()

    assert pace.left_s(running=0, done=0, total=10) is None
    clock[0] += 50  # in which it waited
    assert pace.left_s(running=2, done=1, total=10) is None
    clock[0] += TRUSTED_S / 2
    assert pace.left_s(running=2, done=2, total=10) is None
    clock[0] += 7
    assert pace.left_s(running=2, done=5, total=10) == pytest.approx((7 + TRUSTED_S / 2) / 4 * 5)
    assert pace.left_s(running=0, done=10, total=10) is None


def test_a_job_that_was_paused_is_timed_anew(clock: list[float]) -> None:
    pace = Pace()
    pace.left_s(running=1, done=0, total=10)
    clock[0] += 10
    pace.forget()

    assert pace.left_s(running=1, done=5, total=10) is None
    clock[0] += 4
    assert pace.left_s(running=1, done=7, total=10) == pytest.approx(6)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.1, "1 s"),
        (9.2, "10 s"),
        (31, "35 s"),
        (91, "2 min"),
        (3541, "1 h"),
        (7300, "2 h 10 min"),
        (360_000, "100 h"),
    ],
)
def test_it_is_told_no_more_exactly_than_it_is_known(seconds: float, told: str) -> None:
    assert about(seconds) == told


@pytest.mark.parametrize("display", [Bars, Lines])
def test_both_displays_tell_it(display: type[Bars | Lines], clock: list[float]) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=display is Bars, width=120, _environ={"TERM": "xterm"})

    with display(console) as shown:
        for done, running in ((0, 1), (5, 1)):
            fields = {"map:done": done, "map:running": running, "map:waiting": 9 - done, "reduce:waiting": 1}
            shown.update(JobRecord("active", {name: str(value) for name, value in fields.items()}))
            clock[0] += 10

    assert "about 10 s left" in out.getvalue()
