"""What a job's pilot tells, as rows of a table, and the question whether the job is to go on."""

from __future__ import annotations

import sys
from typing import Any, Self

import click
from rich.console import Console

from disco_rq import Job
from disco_rq.client.piloting import awaits_resume
from disco_rq.client.progress import Display
from disco_rq.errors import DiscoError
from disco_rq.machine.escaping import escaped
from disco_rq.store.jobs import JobRecord
from disco_rq.views.figures import count, duration, size

__all__ = ["AtPilot", "Declined", "facts_of_pilot"]


def facts_of_pilot(pilot: dict[str, Any]) -> list[tuple[str, str]]:
    """Names and values, for people."""
    if pilot["seconds"] is None:
        return [("pilot", f"{pilot['done']}/{pilot['maps']} maps")]
    rows = [
        ("pilot", f"{pilot['maps']} maps"),
        ("time left", _range(pilot["seconds"], lambda s: duration(1000 * s))),
        ("of it the reduces", _range(pilot["reduce_seconds"], lambda s: duration(1000 * s))),
        ("of it the checks", _check(pilot)),
        ("slots", str(pilot["slots"])),
        ("map output", _range(pilot["bytes"], size)),
        ("map records", _range(pilot["records"], lambda number: count(round(number)))),
        ("largest partition", "" if pilot["skew"] is None else f"{pilot['skew']:.1f} times the mean one"),
        ("memory of the largest task", size(pilot["memory"])),
        ("bad entries", count(pilot["bad"])),
        ("failed attempts", count(pilot["failed"])),
        *(("suggested", line) for line in pilot["suggestions"]),
    ]
    if not pilot["reduce_seconds"]["expected"]:
        del rows[2]
    return [(name, value) for name, value in rows if value]


def _check(pilot: dict[str, Any]) -> str:
    """What checks cost: longer, and slots meanwhile."""
    if pilot["check_seconds"] is None:
        return ""
    longer, slots = (
        _range(pilot[what], lambda s: duration(1000 * s)) for what in ("check_seconds", "check_slot_seconds")
    )
    return f"{longer}; {slots} of slots"


def _range(told: dict[str, float], text: Any) -> str:
    """``4 min 10 s (3 min 2 s to 6 min 1 s)``."""
    expected, low, high = (text(told[what]) for what in ("expected", "low", "high"))
    return expected if low == high else f"{expected} ({low} to {high})"


class Declined(DiscoError):
    """The job is not to go on after its pilot."""


class AtPilot:
    """A display of a job that tells its pilot when it is through, and lets the job go on: at once, or as who
    sits at the terminal says. Where there is nobody, the job waits for a resume from elsewhere.
    """

    def __init__(self, job: Job, display: Display, console: Console, *, yes: bool) -> None:
        """``yes``: at once."""
        self._job = job
        self._display = display
        self._console = console
        self._yes = yes
        self._has_told = False

    def check_answerable(self, *, is_own: bool) -> None:
        """Refuse the pilot of a job that nobody could tell to go on, on a cluster of our own (``is_own``)."""
        if is_own and not self._yes and not sys.stdin.isatty() and self._job.jobspec().get("pilot"):
            raise Declined(
                "after its pilot nobody can be asked here whether the job is to go on: give --yes, or the "
                "--redis of a cluster, where 'disco-rq resume' says so"
            )

    def update(self, record: JobRecord) -> None:
        self._display.update(record)
        if not self._has_told and awaits_resume(record):
            self._has_told = True
            self._display.__exit__(None, None, None)  # its bars would be written over
            self._tell_and_ask()
            self._display.__enter__()

    def event(self, timestamp_s: float, host: str, message: str) -> None:
        self._display.event(timestamp_s, host, message)

    def __enter__(self) -> Self:
        self._display.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._display.__exit__(*error)

    def _tell_and_ask(self) -> None:
        rows = facts_of_pilot(self._job.jobinfo()["pilot"])
        width = max(len(name) for name, _ in rows)
        for name, value in rows:
            line = escaped(f"  {name:{width}}  {value}", one_line=True)
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)
        if self._yes:
            self._job.resume()
        elif sys.stdin.isatty():
            if not _confirmed("Run the rest?"):
                raise Declined("the job was not to go on after its pilot")
            self._job.resume()


def _confirmed(question: str) -> bool:
    """``KeyboardInterrupt`` for Ctrl-C, as everywhere else, where click has an error of its own."""
    try:
        return click.confirm(question, default=True, err=True)
    except click.Abort:
        raise KeyboardInterrupt from None
