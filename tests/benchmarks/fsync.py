"""What it costs that results are on the disk before they count: the same jobs with ``DISCO_RQ_FSYNC=off``."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from disco_rq import Disco, Job
from disco_rq.settings import PREFIX
from tests.benchmarks.inputs import CACHE
from tests.benchmarks.measure import WORKERS, Bench, Line
from tests.benchmarks.noop import nothing

VARIABLE = f"{PREFIX}FSYNC"
RESULTS = 8
RECORD = 1000
SETTLE_S = 0.1


def bulk(entry: str, params: int) -> Iterator[tuple[int, bytes]]:
    """So many bytes of result, which nothing makes smaller."""
    for i in range(params // RECORD):
        yield i, os.urandom(RECORD)


def run(bench: Bench) -> list[Line]:
    many, each = max(10, int(2_000 * bench.scale)), bench.size(200) // RESULTS

    def small(disco: Disco) -> Job:
        return disco.new_job("small", ["raw://a"], map=nothing)

    def tasks(disco: Disco) -> Job:
        return disco.new_job("tasks", [f"raw://{i}" for i in range(many)], map=nothing, nr_reduces=0)

    def large(disco: Disco) -> Job:
        return disco.new_job("large", [f"raw://{i}" for i in range(RESULTS)], map=bulk, params=each)

    with _unsynced() as other:
        small(other).wait()
        jobs = {
            "a job of one task": (small, 10 * bench.rounds),
            f"{many:,} results in batches": (tasks, bench.rounds),
            f"{RESULTS} results of {each / 1e6:.0f} MB": (large, bench.rounds),
        }
        disk = f"; one fsync of this disk: {_flush_ms():.1f} ms"
        return [
            _line(what, *_in_turn(bench.disco, other, submit, times), note=disk)
            for what, (submit, times) in jobs.items()
        ]


@contextmanager
def _unsynced() -> Iterator[Disco]:
    """A second cluster, beside the first, which takes the system's word for what it writes."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = "off"
    try:
        with Disco(workers=WORKERS) as disco:
            yield disco
    finally:
        os.environ.pop(VARIABLE)
        if before is not None:
            os.environ[VARIABLE] = before


def _in_turn(
    synced: Disco, other: Disco, submit: Callable[[Disco], Job], times: int
) -> tuple[list[float], list[float]]:
    """Seconds from submit to the end, of each."""
    took_s: tuple[list[float], list[float]] = [], []
    for _ in range(times):
        for disco, seconds in zip((synced, other), took_s, strict=True):
            os.sync()  # what one has left to be written is not the other's
            time.sleep(SETTLE_S)
            began = time.perf_counter()
            job = submit(disco)
            job.wait()
            seconds.append(time.perf_counter() - began)
            job.purge()
    return took_s


def _line(what: str, synced_s: list[float], other_s: list[float], *, note: str) -> Line:
    ours, yardstick = statistics.median(synced_s), statistics.median(other_s)
    return Line(
        row="fsync",
        ours=_shown(ours),
        yardstick=_shown(yardstick),
        ratio=f"{ours / yardstick:.2f}",
        at_least="",
        aim="",
        ok=True,
        note=f"{what}; yardstick: the same with {VARIABLE}=off{note}",
    )


def _shown(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"


def _flush_ms() -> float:
    """Of a small file that was written just now: the median of some."""
    CACHE.mkdir(exist_ok=True)
    path: Path = CACHE / "flushed"
    took_s = []
    for i in range(20):
        with path.open("wb") as file:
            file.write(bytes([i]) * 4096)
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            took_s.append(time.perf_counter() - began)
    return statistics.median(took_s) * 1000
