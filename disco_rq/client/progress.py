"""What a user sees on stderr while a job runs: live bars on a terminal, plain lines elsewhere, or nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from disco_rq.client.pace import Pace, about
from disco_rq.model import PHASES, Phase
from disco_rq.store.jobs import JobRecord

PLAIN_LINE_S = 2.0
"""A plain line about the tasks comes at most this often: logs are kept."""


@dataclass(frozen=True, slots=True)
class PhaseCounts:
    """How far the maps or the reduces are."""

    waiting: int
    running: int
    done: int
    failed: int

    @property
    def total(self) -> int:
        return self.waiting + self.running + self.done

    def __str__(self) -> str:
        text = f"{self.done}/{self.total}"
        if self.running:
            text += f" ({self.running} running)"
        return f"{text}, {self.failed} failed" if self.failed else text


def phases(record: JobRecord) -> dict[Phase, PhaseCounts]:
    """The phases that the job has."""
    found = {name: PhaseCounts(*record.phase(name)) for name in PHASES}
    return {name: phase for name, phase in found.items() if phase.total}


class Display(Protocol):
    """Shows a job's progress until it is closed, which leaves the terminal as it was."""

    def update(self, record: JobRecord) -> None: ...
    def event(self, timestamp_s: float, host: str, message: str) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...


def display_for(console: Console, *, quiet: bool) -> Display:
    if quiet:
        return Silence()
    return Bars(console) if console.is_terminal else Lines(console)


class Silence:
    """Shows nothing."""

    def update(self, record: JobRecord) -> None:
        pass

    def event(self, timestamp_s: float, host: str, message: str) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class Paces:
    """How long each phase of a job will still take."""

    def __init__(self) -> None:
        self._of = {name: Pace() for name in PHASES}

    def left(self, record: JobRecord) -> dict[Phase, str]:
        """In words; empty where that cannot be told."""
        if record.count("paused"):
            for pace in self._of.values():
                pace.forget()
        found = {
            name: self._of[name].left_s(running=phase.running, done=phase.done, total=phase.total)
            for name, phase in phases(record).items()
        }
        return {
            name: "" if left_s is None else f"about {about(left_s)} left" for name, left_s in found.items()
        }


class Lines(Silence):
    """A line for each event, and one about the tasks when they moved, every few seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._printed = ""
        self._next = 0.0
        self._last = self._left = ""
        self._paces = Paces()

    def update(self, record: JobRecord) -> None:
        self._last = "; ".join(f"{name} {phase}" for name, phase in phases(record).items())
        self._left = "".join(f"; {left}" for left in self._paces.left(record).values() if left)
        if time.monotonic() >= self._next:
            self._tell()

    def event(self, timestamp_s: float, host: str, message: str) -> None:
        self._console.print(event_text(timestamp_s, host, message), soft_wrap=True)

    def __exit__(self, *_: object) -> None:
        self._tell()

    def _tell(self) -> None:
        if self._last != self._printed:
            self._console.print(Text(f"{clock(time.time())} {self._last}{self._left}"), soft_wrap=True)
            self._printed = self._last
            self._next = time.monotonic() + PLAIN_LINE_S


class Bars:
    """A bar for the maps and one for the reduces, with what happens above them."""

    def __init__(self, console: Console) -> None:
        self._bars = Progress(
            TextColumn("{task.description:<6}"),
            BarColumn(),
            TextColumn("{task.fields[tasks]}"),
            TextColumn("[cyan]{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
        )
        self._bar_of: dict[str, TaskID] = {}
        self._rate_of = {name: Rate() for name in PHASES}
        self._paces = Paces()

    def update(self, record: JobRecord) -> None:
        left = self._paces.left(record)
        for name, phase in phases(record).items():
            if name not in self._bar_of:
                self._bar_of[name] = self._bars.add_task(name, start=False, tasks="", rate="", left="")
            bar = self._bar_of[name]
            if phase.running or phase.done:
                self._bars.start_task(bar)
            rate = self._rate_of[name].per_second(record.count(f"{name}:entries"))
            self._bars.update(
                bar,
                total=phase.total,
                completed=phase.done,
                tasks=str(phase),
                rate=f"{rate:,.0f} entries/s" if rate else "",
                left=left[name],
            )

    def event(self, timestamp_s: float, host: str, message: str) -> None:
        self._bars.console.print(event_text(timestamp_s, host, message))

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()


class Rate:
    """Entries a second since the first were seen."""

    def __init__(self) -> None:
        self._began: float | None = None

    def per_second(self, entries: int) -> float:
        now = time.monotonic()
        if self._began is None:
            self._began = now  # the phase is seen first when it may have just begun
        return entries / (now - self._began) if now > self._began else 0.0


def clock(timestamp_s: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(timestamp_s))


def event_text(timestamp_s: float, host: str, message: str) -> Text:
    """A line of a job's history. What a job says cannot move the cursor or colour the terminal."""
    return Text.assemble(
        (clock(timestamp_s), "dim"), " ", (_printable(host), "bold"), " ", _printable(message)
    )


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
