"""What processes cost: CPU time and memory of a tree of them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil

SAMPLE_S = 0.1
PSS_SAMPLE_S = 0.04


def tree(pid: int) -> list[psutil.Process]:
    """A process and all that it started; what has ended is left out."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def cpu_s(pid: int) -> float:
    """CPU time of a tree since it began. Of what has ended, too: who waited for a process has its time."""
    total = 0.0
    for process in tree(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def pss_bytes(pid: int) -> int:
    """Proportional memory of a tree: of a page that n processes share each has 1/n. 0 if no kernel tells."""
    total = 0
    for process in tree(pid):
        with contextlib.suppress(OSError), open(f"/proc/{process.pid}/smaps_rollup") as lines:
            total += next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0) << 10
    return total


class PeakPss:
    """Watches a tree's proportional memory. To look costs: nothing is timed meanwhile."""

    def __init__(self, pid: int) -> None:
        self.peak_bytes = 0
        self._pid = pid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> PeakPss:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self.peak_bytes = max(self.peak_bytes, pss_bytes(self._pid))
            if self._ended.wait(PSS_SAMPLE_S):
                return


class PeakMemory:
    """The largest resident sizes that were seen: of all processes together, and of any one."""

    def __init__(self) -> None:
        self.total_bytes = 0
        self.largest_bytes = 0

    def sample(self, processes: list[psutil.Process]) -> None:
        sizes = []
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                sizes.append(process.memory_info().rss)
        self.total_bytes = max(self.total_bytes, sum(sizes))
        self.largest_bytes = max(self.largest_bytes, *sizes)


@contextmanager
def peak_memory(processes: Callable[[], list[psutil.Process]]) -> Iterator[PeakMemory]:
    """Sample the resident sizes of processes while the block runs; shared pages count in each."""
    peak = PeakMemory()
    ended = threading.Event()

    def watch() -> None:
        known: list[psutil.Process] = []
        for i in range(1_000_000):
            if i % 10 == 0:  # to look for new processes costs more than to look at those
                known = processes()
            peak.sample(known)
            if ended.wait(SAMPLE_S):
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()
