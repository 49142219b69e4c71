"""How much memory a process and its descendants hold, or held at most."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from disco_rq.machine.kernel import IS_LINUX, PROC

__all__ = ["PeakMemory", "memory_of"]


def memory_of(pid: int, enough: int = 0) -> int:
    """Bytes that a process and its descendants hold, in memory or swapped out; files that they map are not
    counted.

    What forked processes share is counted once, if it is more than ``enough`` otherwise. Where there is no
    /proc it is what each has for itself alone, so that shared memory does not count.
    """
    if not IS_LINUX:
        return _by_psutil(pid)
    family = list(_family(pid))
    total = sum(_kib(f"{PROC}/{one}/status", ("RssAnon:", "RssShmem:", "VmSwap:")) for one in family) << 10
    if total <= enough or len(family) == 1:
        return total
    # The kernel adds this up page by page, so only when it matters.
    shares = ("Pss_Anon:", "Pss_Shmem:", "SwapPss:")
    return sum(_kib(f"{PROC}/{one}/smaps_rollup", shares) for one in family) << 10


class PeakMemory:
    """What this process holds at most from now on, or the largest of its children that end meanwhile."""

    def __init__(self) -> None:
        self._children = _most_of(resource.RUSAGE_CHILDREN)
        with suppress(OSError):  # then it is the most that it has ever held
            Path(f"{PROC}/self/clear_refs").write_text("5")

    def so_far(self) -> int:
        """In bytes. Of a child that held less than others before it nothing is known."""
        own = _kib(f"{PROC}/self/status", ("VmHWM:",)) << 10 or _most_of(resource.RUSAGE_SELF)
        children = _most_of(resource.RUSAGE_CHILDREN)
        return max(own, children) if children > self._children else own


def _by_psutil(pid: int) -> int:
    try:
        head = psutil.Process(pid)
        family = [head, *head.children(recursive=True)]
    except psutil.Error:
        return 0
    total = 0
    for process in family:
        with suppress(psutil.Error):  # it has ended, or is another user's
            total += process.memory_full_info().uss
    return total


def _most_of(whom: int) -> int:
    most = resource.getrusage(whom).ru_maxrss
    return most if sys.platform == "darwin" else most << 10


def _family(pid: int) -> Iterator[int]:
    yield pid
    try:
        children = [path.read_text() for path in Path(f"{PROC}/{pid}/task").glob("*/children")]
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
