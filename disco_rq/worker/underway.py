"""Which attempt a horse runs and how far it is, noted beside what it prints, for who asks while it runs."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from disco_rq.model import TaskId
from disco_rq.outputs.addresses import output_name
from disco_rq.outputs.underway import write_note
from disco_rq.worker.horse import Progress

__all__ = ["Underway"]

NOTED_AFTER_LOOKS = 5
"""Short attempts are over before anybody reads what they print: they cost nothing."""
NOTED_EACH_LOOKS = 5
"""After so many more it is noted again how far the attempt is, if it has come further."""


class Underway:
    """The attempts of a batch, one after the other, as its worker sees them from look to look."""

    def __init__(self, note: Path, job: str, tasks: Sequence[tuple[TaskId, int]], progress: Progress) -> None:
        self._note = note
        self._job = job
        self._tasks = tasks
        self._progress = progress
        self._index = -1
        self._looks = 0
        self._noted = -1
        self._is_over = False
        self._lock = threading.Lock()  # or what ends may be noted once more, for good

    def look(self) -> None:
        """Note the attempt that runs, if it has for some looks, and from time to time how far it is."""
        with self._lock:
            if not self._is_over:
                self._look(self._progress.index, self._progress.nr_entries)

    def _look(self, index: int, nr_entries: int) -> None:
        if index != self._index:
            self._forget()
            self._index, self._looks, self._noted = index, 0, -1
        self._looks += 1
        is_time = self._looks >= NOTED_AFTER_LOOKS and self._looks % NOTED_EACH_LOOKS == 0
        if is_time and nr_entries != self._noted and index < len(self._tasks):
            self._noted = nr_entries
            with suppress(OSError):  # a full disk
                write_note(self._note, self._job, output_name(*self._tasks[index]), nr_entries)

    def end(self) -> None:
        """None of them runs any more."""
        with self._lock:
            self._is_over = True
            self._forget()

    def _forget(self) -> None:
        if self._looks >= NOTED_AFTER_LOOKS:
            self._note.unlink(missing_ok=True)
