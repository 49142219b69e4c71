"""Which attempt a horse runs, noted beside what it prints, for who wants to read that while it runs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from disco_rq.model import TaskId
from disco_rq.outputs.addresses import output_name
from disco_rq.outputs.underway import note_of
from disco_rq.worker.horse import Progress

__all__ = ["Underway"]

NOTED_AFTER_LOOKS = 5
"""Short attempts are over before anybody reads what they print: they cost nothing."""


class Underway:
    """The attempts of a batch, one after the other, as its worker sees them from look to look."""

    def __init__(self, note: Path, job: str, tasks: Sequence[tuple[TaskId, int]], progress: Progress) -> None:
        self._note = note
        self._job = job
        self._tasks = tasks
        self._progress = progress
        self._index = -1
        self._looks = 0

    def look(self) -> None:
        """Note the attempt that runs, if it has for some looks."""
        index = self._progress.index
        if index != self._index:
            self.end()
            self._index, self._looks = index, 0
        self._looks += 1
        if self._looks == NOTED_AFTER_LOOKS and index < len(self._tasks):
            with suppress(OSError):  # a full disk
                self._note.write_text(note_of(self._job, output_name(*self._tasks[index])))

    def end(self) -> None:
        """None of them runs any more."""
        if self._looks >= NOTED_AFTER_LOOKS:
            self._note.unlink(missing_ok=True)
