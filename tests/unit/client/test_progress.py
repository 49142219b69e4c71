"""What a user sees of a running job: moving bars on a terminal, plain lines elsewhere, nothing when quiet."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from disco_rq.client import progress
from disco_rq.client.progress import Bars, Lines, Silence, display_for, event_text, phases
from disco_rq.store.jobs import JobRecord


def record(done: int = 0, running: int = 0, waiting: int = 0, failed: int = 0, reduces: int = 2) -> JobRecord:
    fields = {"map:done": done, "map:running": running, "map:waiting": waiting, "map:failed": failed}
    fields |= {"map:entries": 1000 * done, "reduce:waiting": reduces}
    return JobRecord("active", {name: str(value) for name, value in fields.items()})


def console(*, terminal: bool) -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, force_terminal=terminal, width=100, _environ={"TERM": "xterm"}), out


def test_a_terminal_gets_bars_a_pipe_gets_lines_and_quiet_gets_nothing() -> None:
    assert isinstance(display_for(console(terminal=True)[0], quiet=False), Bars)
    assert isinstance(display_for(console(terminal=False)[0], quiet=False), Lines)
    assert isinstance(display_for(console(terminal=True)[0], quiet=True), Silence)


def test_a_phase_tells_what_is_done_what_runs_and_what_failed() -> None:
    found = phases(record(done=3, running=2, waiting=5, failed=1))

    assert str(found["map"]) == "3/10 (2 running), 1 failed"
    assert str(found["reduce"]) == "0/2"


def test_a_job_without_reduces_shows_none() -> None:
    assert phases(record(waiting=1, reduces=0)).keys() == {"map"}


def test_plain_lines_come_when_the_tasks_moved_and_not_too_often(monkeypatch: pytest.MonkeyPatch) -> None:
    # given a clock of our own
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    plain, out = console(terminal=False)

    # when the tasks move faster than the lines may come
    with Lines(plain) as display:
        for done in range(5):
            display.update(record(done=done, waiting=10 - done))
            now += progress.PLAIN_LINE_S / 2

    # then there is a line for every second step, and one for the end
    told = [line.split(" ", 1)[1] for line in out.getvalue().splitlines()]
    assert told == [
        "map 0/10; reduce 0/2",
        "map 2/10; reduce 0/2",
        "map 4/10; reduce 0/2; about 6 s left",
    ]


def test_the_last_state_is_told_even_when_it_came_too_soon() -> None:
    plain, out = console(terminal=False)

    with Lines(plain) as display:
        display.update(record(waiting=2))
        display.update(record(done=2))

    assert out.getvalue().splitlines()[-1].endswith("map 2/2; reduce 0/2")


def test_bars_show_both_phases_and_the_messages_above_them() -> None:
    terminal, out = console(terminal=True)

    with Bars(terminal) as display:
        display.update(record(done=1, running=1))
        display.event(0.0, "node1", "half way")
        display.update(record(done=2))

    shown = out.getvalue()
    assert "half way" in shown
    assert "2/2" in shown
    assert "reduce" in shown


def test_a_message_can_neither_move_the_cursor_nor_be_markup() -> None:
    text = event_text(0.0, "node1\x1b[1A", "\x1b[2J[red]gone\x07\u202e")

    assert text.plain.endswith("node1?[1A ?[2J[red]gone??".replace("?", "\N{REPLACEMENT CHARACTER}"))
