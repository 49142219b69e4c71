"""What the tasks of a job print, shown while it runs: the log of each attempt once that has ended."""

from __future__ import annotations

import time
from typing import Self

from rich.console import Console

from disco_rq import Job
from disco_rq.client.progress import Display
from disco_rq.client.results import read_log
from disco_rq.client.session import Session
from disco_rq.errors import DataError
from disco_rq.machine.escaping import escaped
from disco_rq.model import PHASES, TaskId
from disco_rq.outputs.addresses import output_address
from disco_rq.store.jobs import JobRecord

__all__ = ["WithLogs"]

LOOK_S = 0.5
REST = 10
"""Between two looks at a job with many attempts is so many times as long as the last one took."""


class WithLogs:
    """A display of a job that shows these logs, too. A line says whose it is: ``map:3 | text``."""

    def __init__(self, job: Job, session: Session, display: Display, console: Console) -> None:
        self._job = job.name
        self._session = session
        self._display = display
        self._console = console
        self._shown: set[tuple[TaskId, int]] = set()
        self._ended = 0
        self._next = 0.0

    def update(self, record: JobRecord) -> None:
        self._display.update(record)
        ended = sum(record.count(f"{phase}:{how}") for phase in PHASES for how in ("done", "failed"))
        if ended != self._ended and time.monotonic() >= self._next:
            self._ended = ended
            self._show()

    def event(self, timestamp_s: float, host: str, message: str) -> None:
        self._display.event(timestamp_s, host, message)

    def __enter__(self) -> Self:
        self._display.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        if not error or not isinstance(error[1], KeyboardInterrupt):
            self._show()
        self._display.__exit__(*error)

    def _show(self) -> None:
        began = time.monotonic()
        attempts = self._session.store.attempts(self._job)
        new = [(how.get("ended") or 0, one, str(how.get("node", ""))) for one, how in attempts.items()]
        for _, one, node in sorted(entry for entry in new if entry[1] not in self._shown):
            self._shown.add(one)
            self._tell(*one, node)
        now = time.monotonic()
        self._next = now + max(LOOK_S, REST * (now - began))

    def _tell(self, task: TaskId, number: int, node: str) -> None:
        whose = str(task) if number == 1 else f"{task}/{number}"
        try:
            text = read_log(self._session.locator, output_address(node, self._job, task, number))
        except DataError as error:
            text = f"(its log cannot be read: {error})"
        for line in text.splitlines():
            shown = escaped(f"{whose} | {line}", one_line=True)
            self._console.print(shown, markup=False, highlight=False, soft_wrap=True)
