"""The thread of a worker that sees what a running task uses: its memory, and the length of its log."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from disco_rq.attempt.log import cut_short

__all__ = ["OveruseWatch", "memory_of"]

log = logging.getLogger("disco_rq.overuse")

LOOK_S = 0.1
"""How often is looked. What a task takes in that time it may take beyond its limit."""


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
        self._left_out = 0
        self.peak = 0
        """Bytes that the watched processes held when they were ended for it; 0 if they were not."""

    def watch(self, pid: int, log_file: Path) -> None:
        """From now on look at this process, its descendants, and the file to which they print."""
        self.peak = self._left_out = 0
        self._watched = pid, log_file

    def unwatch(self) -> None:
        self._watched = None

    def stop(self) -> None:
        self._ended.set()

    def run(self) -> None:
        while not self._ended.wait(LOOK_S):
            watched = self._watched
            if watched is None:
                continue
            pid, log_file = watched
            self._left_out = cut_short(log_file, self._left_out)
            if self._limit is None or self.peak:
                continue
            held = memory_of(pid, self._limit)
            if held > self._limit and self._watched is watched:
                self.peak = held
                log.warning("process %s holds %s bytes, and is ended", pid, held, extra={"action": "memory"})
                self._end_horse()


def memory_of(pid: int, enough: int = 0) -> int:
    """Bytes that a process and its descendants hold, in memory or swapped out; files that they map are not
    counted.

    What forked processes share is counted once, if it is more than ``enough`` otherwise. 0 where the system
    does not tell (no /proc).
    """
    family = list(_family(pid))
    total = sum(_kib(f"/proc/{one}/status", ("RssAnon:", "RssShmem:", "VmSwap:")) for one in family) << 10
    if total <= enough or len(family) == 1:
        return total
    # The kernel adds this up page by page, so only when it matters.
    shares = ("Pss_Anon:", "Pss_Shmem:", "SwapPss:")
    return sum(_kib(f"/proc/{one}/smaps_rollup", shares) for one in family) << 10


def _family(pid: int) -> Iterator[int]:
    yield pid
    try:
        children = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:  # it has ended
        return
    for child in " ".join(children).split():
        yield from _family(int(child))


def _kib(file: str, names: tuple[str, ...]) -> int:
    """The sum of those lines of a file of the kernel's."""
    try:
        lines = Path(file).read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith(names))
