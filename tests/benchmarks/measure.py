"""Yardstick helpers: pinning, medians of interleaved rounds, peak memory, and one line of the table."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.pool import Pool
from typing import Any

import psutil

from disco_rq import Disco

WORKERS = 2
SAMPLE_S = 0.1


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table."""

    row: str
    ours: str
    yardstick: str
    ratio: str
    at_least: str
    aim: str
    ok: bool
    memory: str = ""
    note: str = ""  # what the yardstick does, or what was checked


@dataclass(slots=True)
class Bench:
    """What a row gets: a warm cluster, and how large and how often."""

    disco: Disco
    rounds: int
    scale: float

    def size(self, megabytes: int) -> int:
        """Bytes at this run's scale."""
        return int(megabytes * 1e6 * self.scale)

    def cluster(self) -> list[psutil.Process]:
        """All processes of the cluster."""
        assert self.disco._cluster is not None
        owner = psutil.Process(self.disco._cluster.pid)
        return [owner, *owner.children(recursive=True)]

    def workers(self) -> list[psutil.Process]:
        """Its workers and their horses; without owner, Redis and master."""
        assert self.disco._cluster is not None
        children = psutil.Process(self.disco._cluster.pid).children()
        parents = [process for process in children if process.children()]
        return [*parents, *(horse for process in parents for horse in process.children(recursive=True))]

    def compare(self, ours: Callable[[], Any], yardstick: Callable[[Pool], Any]) -> Comparison:
        """Run both in turn. Answers must be equal, and may be calls. The pool is as warm as the cluster."""
        result = Comparison()
        for _ in range(self.rounds):
            with peak_memory(lambda: [psutil.Process(), *self.cluster()]) as memory:
                began = time.perf_counter()
                answer = ours()
                result.ours_s.append(time.perf_counter() - began)
            result.ours_bytes = max(result.ours_bytes, memory.total_bytes)
            with multiprocessing.get_context("fork").Pool(WORKERS) as pool:
                pool.map(abs, range(WORKERS))
                processes = [psutil.Process(), *(psutil.Process(child.pid) for child in _children(pool))]
                with peak_memory(lambda processes=processes: processes) as memory:  # type: ignore[misc]
                    began = time.perf_counter()
                    expected = yardstick(pool)
                    result.yardstick_s.append(time.perf_counter() - began)
            result.yardstick_bytes = max(result.yardstick_bytes, memory.total_bytes)
            # What comes after the work, such as to read files again or to delete them, is not measured.
            assert settled(answer) == settled(expected), "the answers differ"
        return result


@dataclass(slots=True)
class Comparison:
    """Times of interleaved rounds."""

    ours_s: list[float] = field(default_factory=list)
    yardstick_s: list[float] = field(default_factory=list)
    ours_bytes: int = 0
    yardstick_bytes: int = 0

    @property
    def ratio(self) -> float:
        return statistics.median(self.ours_s) / statistics.median(self.yardstick_s)

    def line(self, row: str, at_least: float | None, aim: float | None, note: str = "") -> Line:
        """``at_least``, ``aim``: multiples of the yardstick; None: it is told for comparison only."""
        return Line(
            row=row,
            ours=f"{statistics.median(self.ours_s):.2f} s",
            yardstick=f"{statistics.median(self.yardstick_s):.2f} s",
            ratio=f"{self.ratio:.2f}",
            at_least="" if at_least is None else f"<= {at_least:g}",
            aim="" if aim is None else f"{aim:g}",
            ok=at_least is None or self.ratio <= at_least,
            memory=f"{self.ours_bytes >> 20} / {self.yardstick_bytes >> 20} MiB",
            note=note,
        )


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


def settled(answer: Any) -> Any:
    """An answer, or what the call of it gives."""
    return answer() if callable(answer) else answer


def pin() -> list[int]:
    """Keep this process, and all that it starts, on two CPUs."""
    cpus = sorted(os.sched_getaffinity(0))[:WORKERS]
    os.sched_setaffinity(0, cpus)
    return cpus


def _children(pool: Pool) -> list[Any]:
    return list(pool._pool)  # type: ignore[attr-defined]
