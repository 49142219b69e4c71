"""Waiting for the end of jobs, without busy polling."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from disco_rq.client.facts import describe_death
from disco_rq.client.piloting import awaits_resume
from disco_rq.client.results import Results
from disco_rq.client.session import Session
from disco_rq.errors import JobError, UnknownJob
from disco_rq.model import ResultStatus
from disco_rq.store.jobs import JobRecord

if TYPE_CHECKING:
    from disco_rq.client.progress import Display

__all__ = ["NamedResults", "display_of", "wait_any", "wait_ready"]

log = logging.getLogger("disco_rq.client")

NamedResults = tuple[str, tuple[ResultStatus, "list[str]"]]

REFRESH_S = 0.2
"""How often a display is told how far the job is."""


def wait_for_end(
    session: Session, name: str, timeout: float | None, poll_interval: float, display: Display | None
) -> JobRecord:
    """Block until the job has ended; ``JobError("Timeout…")`` if it has not by then.

    A job that waits for a resume, after its pilot, is waited for: that is said once.
    """
    store = session.store
    deadline = math.inf if timeout is None else time.monotonic() + timeout
    interval = poll_interval if display is None else min(poll_interval, REFRESH_S)
    offset = _last_event(session, name) if display is None else "0-0"
    record: JobRecord | None = None
    has_told = False
    while True:
        try:
            record = store.record(name)
        except UnknownJob:
            if record is None:
                raise
            raise UnknownJob(
                f"Redis has forgotten the job {name}: somebody purged or cleaned it, or Redis was "
                "emptied (FLUSHDB), evicted it, or was started without its data"
            ) from None
        if display is not None:
            for event in session.history.events(name, offset):
                offset = event.offset
                display.event(event.timestamp, event.host, event.message)
            display.update(record)
        if record.status != "active":
            return record
        if not has_told and display is None and awaits_resume(record):
            has_told = True
            log.warning("%s is paused after its pilot, and waits for resume", name, extra={"action": "wait"})
        left = deadline - time.monotonic()
        if left <= 0:
            raise JobError(f"Timeout: job {name} is still active after {timeout:g} s; it goes on")
        found = session.history.wait_events({name: offset}, round(min(interval, left) * 1000))
        if display is None and name in found:
            offset = found[name][-1].offset


def wait_ready(
    session: Session,
    name: str,
    timeout: float | None = None,
    poll_interval: float = 5.0,
    display: Display | None = None,
) -> Results:
    """Block until the job is ready; its results. Raises what ``wait_for_end`` does, and ``JobError`` with the
    first cause if it is dead.
    """
    record = wait_for_end(session, name, timeout, poll_interval, display)
    if record.status == "dead":
        raise JobError(describe_death(name, record.cause))
    return session.results_of(name)


def wait_any(
    session: Session, names: Sequence[str], timeout: float
) -> tuple[list[NamedResults], list[NamedResults]]:
    """Block until one of the jobs has ended, ``timeout`` seconds at most: those that have, and the others."""
    deadline = time.monotonic() + timeout
    offsets = {name: _last_event(session, name) for name in names}
    while True:
        statuses = dict(zip(names, session.store.statuses(names), strict=True))
        active = [name for name in names if statuses[name] == "active"]
        left = deadline - time.monotonic()
        if len(active) < len(names) or left <= 0 or not names:
            break
        for name, found in session.history.wait_events(offsets, round(left * 1000)).items():
            offsets[name] = found[-1].offset
    finished: list[NamedResults] = []
    for name in names:
        status = statuses[name]
        if status != "active":
            addresses = session.results_of(name) if status == "ready" else Results([], session.locator)
            finished.append((name, (status or "unknown job", addresses)))
    return finished, [(name, ("active", [])) for name in active]


def display_of(show: bool | Display | None) -> AbstractContextManager[Display | None]:
    """What shows a job to who waits: nothing, stderr (True), or a display of the caller's."""
    if not show:
        return nullcontext()
    if show is not True:
        return show
    from rich.console import Console  # not at the top: only who looks pays for it

    from disco_rq.client.progress import display_for

    return display_for(Console(stderr=True), quiet=False)


def _last_event(session: Session, name: str) -> str:
    event = session.history.last_event(name)
    return event.offset if event else "0-0"
