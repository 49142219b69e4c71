"""How much memory a process and its descendants hold, or held at most."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

__all__ = ["PeakMemory", "memory_of"]


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


class PeakMemory:
    """What this process holds at most from now on, or the largest of its children that end meanwhile."""

    def __init__(self) -> None:
        self._children = _most_of(resource.RUSAGE_CHILDREN)
        with suppress(OSError):  # then it is the most that it has ever held
            Path("/proc/self/clear_refs").write_text("5")

    def so_far(self) -> int:
        """In bytes. Of a child that held less than others before it nothing is known."""
        own = _kib("/proc/self/status", ("VmHWM:",)) << 10 or _most_of(resource.RUSAGE_SELF)
        children = _most_of(resource.RUSAGE_CHILDREN)
        return max(own, children) if children > self._children else own


def _most_of(whom: int) -> int:
    most = resource.getrusage(whom).ru_maxrss
    return most if sys.platform == "darwin" else most << 10


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
