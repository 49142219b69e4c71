"""What pilots tell, held against the truth: jobs on a real cluster whose maps are of very uneven size."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from disco_rq.func import kvgroup
from disco_rq.runtime import this_partition
from tests.scale.many import Cluster, cluster

JOBS, MAPS, PILOT = 10, 80, 0.15
BYTES_A_SECOND = 2_000_000
SPREAD = 1.3
"""Sizes are lognormal: with this one in twenty is ten times as large as the middle one."""


class Held(NamedTuple):
    """What was told of the time from the pilot on, and what it was."""

    low: float
    expected: float
    high: float
    real: float

    @property
    def is_right(self) -> bool:
        return self.low <= self.real <= self.high


def read_slowly(content: bytes, params: Any) -> Iterator[tuple[int, int]]:
    """Some time for the file, more for each byte, and more or less of it."""
    chance = random.Random(f"{params} {this_partition()}")
    time.sleep(0.02 + len(content) / BYTES_A_SECOND * chance.uniform(0.7, 1.4))
    for number in range(20):
        yield number, len(content)


def whole(fd: Any, size: int | None, name: str) -> Iterator[bytes]:
    yield fd.read()


def add_up(pairs: Any, params: Any) -> Iterator[tuple[int, int]]:
    for number, sizes in kvgroup(pairs):
        yield number, sum(sizes)


def held(one: Cluster, directory: Path, seed: int, maps: int) -> Held:
    """One job, from its pilot to its end."""
    chance = random.Random(seed)
    files = []
    for number in range(maps):
        files.append(directory / f"{seed}-{number}.bin")
        files[-1].write_bytes(bytes(round(chance.lognormvariate(11, SPREAD))))
    job = one.disco.new_job(
        "pilot",
        files,
        map=read_slowly,
        map_reader=whole,
        reduce=add_up,
        sort=True,
        nr_reduces=2,
        params=seed,
        pilot=PILOT,
    )
    while not job.jobinfo()["paused"]:
        time.sleep(0.02)
    told = job.jobinfo()["pilot"]["seconds"]
    began = time.perf_counter()
    job.resume()
    job.wait()
    real = time.perf_counter() - began
    job.purge()
    return Held(told["low"], told["expected"], told["high"], real)


def row(scale: float) -> Iterator[str]:
    """Whether the range that a pilot tells holds the real time, in ten jobs of very uneven maps."""
    jobs = max(2, round(JOBS * scale))
    with cluster() as one, tempfile.TemporaryDirectory() as directory:
        found = [held(one, Path(directory), seed, MAPS) for seed in range(jobs)]
    for it in found:
        verdict = "holds" if it.is_right else "does not hold"
        yield f"told {it.expected:.1f} s ({it.low:.1f} to {it.high:.1f}), was {it.real:.1f} s: {verdict}"
    right = sum(it.is_right for it in found)
    width = sum(it.high / it.low for it in found) / len(found)
    off = sum(abs(it.expected / it.real - 1) for it in found) / len(found)
    yield f"held {right} of {jobs}; the highest is {width:.1f} times the lowest, expected is off by {off:.0%}"
