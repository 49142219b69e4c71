"""What a notebook shows: jobs and clusters as HTML, and in place how far a job is that a cell waits for."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from html import escape
from typing import TYPE_CHECKING, Any, Self

from disco_rq.client.waiting import display_of
from disco_rq.errors import DiscoError
from disco_rq.model import PHASES
from disco_rq.store.jobs import JobRecord

if TYPE_CHECKING:
    from disco_rq.client.disco import Disco
    from disco_rq.client.job import Job
    from disco_rq.client.progress import Display
    from disco_rq.client.session import HasSession

__all__ = ["LiveCell", "disco_html", "in_notebook", "job_html", "record_html", "shower"]

EVENTS = 6
"""Lines of a history that are shown."""
JOBS = 10
REFRESH_S = 0.3
"""A cell is drawn anew at most this often."""
GREY = 'style="margin:0;color:GrayText"'


def in_notebook() -> bool:
    """Whether this program runs in the kernel of a notebook. Nothing need be installed for the answer no."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")


def record_html(name: str, record: JobRecord, events: Sequence[str], link: str = "") -> str:
    """A job: its status, a bar for each phase, its last events, and its cause if it died."""
    title = f'<a href="{escape(link)}" target="_blank">{escape(name)}</a>' if link else escape(name)
    status = "paused" if record.status == "active" and record.count("paused") else record.status
    bars = "".join(_bar(phase, record.phase(phase)) for phase in PHASES if sum(record.phase(phase)[:3]))
    lines = "".join(f"<p {GREY}>{escape(line)}</p>" for line in events)
    return f"<div><b>{title}</b> {status}<table>{bars}</table>{lines}{_cause(record)}</div>"


def _bar(phase: str, counts: Sequence[int]) -> str:
    waiting, running, done, failed = counts
    total = waiting + running + done
    text = (
        f"{done}/{total}{f', {running} running' if running else ''}{f', {failed} failed' if failed else ''}"
    )
    bar = f'<progress value="{done}" max="{total}" aria-label="{phase}"></progress>'
    return f"<tr><td>{phase}</td><td>{bar}</td><td>{text}</td></tr>"


def _cause(record: JobRecord) -> str:
    cause = record.cause
    if record.status != "dead" or not cause:
        return ""
    where = f"{cause['task']}, attempt {cause['attempt']} on {cause['node']}: " if cause.get("task") else ""
    trace = cause.get("traceback")
    told = f"<p><b>{escape(where + str(cause['message']))}</b></p>"
    return told + (f"<pre>{escape(str(trace))}</pre>" if trace else "")


def _shown(what: str, html: Callable[[], str]) -> str:
    """A cell that shows something must not fail, whatever has become of it."""
    try:
        return html()
    except (DiscoError, OSError) as error:
        return f"<div><b>{escape(what)}</b> {escape(str(error))}</div>"


def job_html(job: Job) -> str:
    """A job as it stands now."""

    def html() -> str:
        record = job._session.store.record(job.name)
        events = deque((message for _, (_, _, message) in job.events()), EVENTS)
        return record_html(job.name, record, list(events), _link(job._disco, job.name))

    return _shown(job.name, html)


def disco_html(disco: Disco) -> str:
    """A cluster: its page, its nodes, and its newest jobs."""

    def html() -> str:
        nodes = disco.nodeinfo()["available"]
        slots = sum(node["max_workers"] for node in nodes)
        rows = "".join(
            f"<tr><td>{escape(name)}</td><td>{status}</td></tr>" for _, status, name in disco.joblist()[:JOBS]
        )
        page = f'<a href="{escape(disco.http_url)}" target="_blank">page</a>' if disco.http_url else ""
        size = f"{_number(len(nodes), 'node')}, {_number(slots, 'slot')}"
        return f"<div><b>disco-rq</b> {size} {page}<table>{rows}</table></div>"

    return _shown("disco-rq", html)


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _link(disco: HasSession, name: str) -> str:
    """The job's page; of an embedded cluster the page that logs in."""
    root = str(getattr(disco, "http_url", ""))
    return f"{root}/jobs/{name}" if root and "/login" not in root else root


def shower(job: Job, show: bool | Display | None) -> AbstractContextManager[Display | None]:
    """What shows the job to who waits for it: the cell of a notebook, unless told otherwise."""
    if show in (None, True) and in_notebook():
        return LiveCell(job)
    return display_of(show)


class LiveCell:
    """The job that a cell waits for, drawn in place. Who interrupts the cell kills the job, unless others may
    wait for it.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._link = ""
        self._events: deque[str] = deque(maxlen=EVENTS)
        self._next = 0.0
        self._handle: Any = None

    def update(self, record: JobRecord) -> None:
        """Draw, if it is time or the job has ended."""
        if record.status == "active" and time.monotonic() < self._next:
            return
        self._next = time.monotonic() + REFRESH_S
        html = record_html(self._job.name, record, list(self._events), self._link)
        self._handle.update({"text/html": html, "text/plain": repr(self._job)}, raw=True)

    def event(self, timestamp_s: float, host: str, message: str) -> None:  # noqa: ARG002  as other displays
        """Shown with the next drawing."""
        self._events.append(message)

    def __enter__(self) -> Self:
        self._link = _link(self._job._disco, self._job.name)
        display = sys.modules["IPython"].display.display
        self._handle = display({"text/plain": repr(self._job)}, raw=True, display_id=True)
        return self

    def __exit__(self, kind: object = None, *_: object) -> None:
        if kind is KeyboardInterrupt and not self._job.is_shared:
            self._job.kill()
            self.update(self._job._session.store.record(self._job.name))
