"""A job of known answer whose tasks wait at gates, so that a test can harm the cluster in their middle."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from disco_rq import Disco, Job, Params, result_iterator
from disco_rq.runtime import counter, put, this_host, this_partition

LINES = ["a b a", "b c", "a", "d d d"]


def trace(params: Any, what: str) -> None:
    """Leave a file that names the task, its node and its process for the test to find."""
    Path(params.directory, f"{what},{this_partition()},{this_host()},{os.getpid()}").touch()


def map_words(line: str, params: Any) -> Iterator[tuple[str, int]]:
    put(f"map:{this_partition()}", line)
    trace(params, "map")  # from here on it needs no Redis until its commit
    counter("lines")
    while not Path(params.directory, "maps-may-end").exists():
        time.sleep(0.005)
    for word in line.split():
        yield word, 1
    trace(params, "mapped")


def reduce_words(pairs: Any, params: Any) -> Iterator[tuple[str, int]]:
    from disco_rq.func import kvgroup

    put(f"reduce:{this_partition()}", b"\xff")
    trace(params, "reduce")
    while not Path(params.directory, "reduces-may-end").exists():
        time.sleep(0.005)
    for word, ones in kvgroup(pairs):
        counter("words")
        yield word, sum(ones)


class GatedJob:
    """A word count with two gates, and the traces that its tasks left."""

    def __init__(self, disco: Disco, directory: Path, *, lines: int = len(LINES), **arguments: Any) -> None:
        self.directory = directory
        directory.mkdir(exist_ok=True)
        self.lines = [LINES[i % len(LINES)] for i in range(lines)]
        self.job: Job = disco.new_job(
            "gated",
            [f"raw://{line}" for line in self.lines],
            map=map_words,
            reduce=reduce_words,
            sort=True,
            nr_reduces=2,
            params=Params(directory=str(directory)),
            **arguments,
        )

    def traces(self, what: str) -> list[tuple[int, str, int]]:
        """``(partition, node, pid)`` of every task that left such a trace."""
        found = [path.name.split(",") for path in self.directory.glob(f"{what},*")]
        return [(int(partition), node, int(pid)) for _, partition, node, pid in found]

    def open_gate(self, *phases: str) -> None:
        for phase in phases:
            (self.directory / f"{phase}-may-end").touch()

    def history(self) -> list[str]:
        """The messages of its events."""
        return [message for _, (_, _, message) in self.job.events()]

    def failed_attempts(self) -> int:
        return sum(self.job.jobinfo()[phase][3] for phase in ("mapi", "redi"))

    def assert_right(self, timeout_s: float = 30.0) -> None:
        """It ends ready with the output, OOB results and counters of an undisturbed run."""
        counts = Counter(" ".join(self.lines).split())
        got = list(result_iterator(self.job.wait(timeout=timeout_s)))
        assert sorted(got) == sorted(counts.items())
        maps = {f"map:{i}": line for i, line in enumerate(self.lines)}
        expected: dict[str, Any] = {**maps, "reduce:0": b"\xff", "reduce:1": b"\xff"}
        assert {key: self.job.oob_get(key) for key in self.job.oob_list()} == expected
        assert self.job.jobinfo()["counters"] == {"lines": len(self.lines), "words": len(counts)}
        assert self.job.jobinfo()["mapi"][:3] == [0, 0, len(self.lines)]
        assert self.job.jobinfo()["redi"][:3] == [0, 0, 2]
