"""What a process of a cluster has used, and programs that are parts of one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU time and memory of a process, since its start or between two looks."""

    seconds: float
    cpu_s: float
    rss_bytes: int

    @property
    def share(self) -> float:
        """Of one core."""
        return self.cpu_s / self.seconds

    def until(self, later: Usage) -> Usage:
        """What was used from this look to a later one."""
        return Usage(later.seconds - self.seconds, later.cpu_s - self.cpu_s, later.rss_bytes)


def usage(pid: int) -> Usage:
    """As it is now; ``/proc`` counts CPU in hundredths of a second."""
    process = psutil.Process(pid)
    times = process.cpu_times()
    return Usage(time.monotonic(), times.user + times.system, process.memory_info().rss)


@contextmanager
def program(verb: str, url: str, directory: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """``disco-rq VERB`` as a process, until the block ends. What it says goes to a file in the directory."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DISCO_RQ_")}
    environment |= {"DISCO_RQ_REDIS": url, "DISCO_RQ_DATA": str(directory), "DISCO_RQ_HTTP": "127.0.0.1:0"}
    with (directory / f"{verb}.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "disco_rq.cli", verb, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=REPOSITORY,
            env=environment,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def cpu_s(pid: int) -> float:
    """CPU time of a process, of all its living threads, to the microsecond."""
    total_ns = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        total_ns += int((thread / "schedstat").read_text().split()[0])
    return total_ns / 1e9
