"""The thread of a worker that sees what a running task uses: its memory, and the length of its log."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from disco_rq.attempt.log import cut_short
from disco_rq.machine.memory import memory_of
from disco_rq.model import TaskId
from disco_rq.outputs.datadir import Scratch
from disco_rq.worker.horse import Horse
from disco_rq.worker.underway import Underway

__all__ = ["Excess", "OveruseWatch"]

log = logging.getLogger("disco_rq.overuse")

LOOK_AT_USE_S = 0.1
"""How often is looked. What a task takes in that time it may take beyond its limit."""


class Excess(NamedTuple):
    """What the processes of a task held when they were ended for it, and what they may hold."""

    held_bytes: int
    limit_bytes: int


class OveruseWatch(threading.Thread):
    """Ends the horse when its processes hold more memory than a task may, and cuts a log that grows for ever.

    Told by ``watch`` and ``unwatch`` what there is to see. A limit by the kernel (setrlimit) would count
    address space, not memory, for each process alone, and end the task with whatever error its code makes of
    that.
    """

    def __init__(self, memory_limit: int | None, end_horse: Callable[[], None]) -> None:
        super().__init__(name="overuse", daemon=True)
        self._limit = memory_limit
        self._end_horse = end_horse
        self._ended = threading.Event()
        self._watched: tuple[int, Path] | None = None
        self._underway: Underway | None = None
        self._left_out = 0
        self.excess: Excess | None = None
        """For which the watched processes were ended, if they were."""

    def watch(self, horse: Horse, scratch: Scratch, job: str, tasks: Sequence[tuple[TaskId, int]]) -> None:
        """From now on look at this process, its descendants, and the file to which they print, and note which
        of these tasks it is at.
        """
        self.excess, self._left_out = None, 0
        self._underway = Underway(scratch.now, job, tasks, horse.progress)
        self._watched = horse.pid, scratch.log

    def unwatch(self) -> None:
        self._watched = None
        underway, self._underway = self._underway, None
        if underway is not None:
            underway.end()

    def stop(self) -> None:
        self._ended.set()

    def run(self) -> None:
        while not self._ended.wait(LOOK_AT_USE_S):
            watched = self._watched
            if watched is None:
                continue
            pid, log_file = watched
            if (underway := self._underway) is not None:
                underway.look()
            self._left_out = cut_short(log_file, self._left_out)
            if self._limit is None or self.excess:
                continue
            held = memory_of(pid, self._limit)
            if held > self._limit and self._watched is watched:
                self.excess = Excess(held, self._limit)
                log.warning("process %s holds %s bytes, and is ended", pid, held, extra={"action": "memory"})
                self._end_horse()
