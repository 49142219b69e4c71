"""Tasks with descendants end, in each of the ways that there are: their slots are free, the next job runs."""

from __future__ import annotations

import contextlib
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from disco_rq import Job, Params, result_iterator
from disco_rq.store import keys
from tests.chaos import litter
from tests.chaos.work import depart, ones
from tests.nodes import NodeCluster, send

ENDS = (
    "returns",
    "exits",
    "raises",
    "is killed",
    "its job is killed",
    "its job is purged",
    "meets its time limit",
    "ignores its time limit",
    "its worker is killed",
    "its node loses its head",
)
TIME_LIMIT_S = 0.5
STARTED_S = 20.0
ENDED_S = 20.0
"""For how long a job that has met its end may be active: a time limit that is ignored takes seconds."""
FREE_S = 20.0
"""A slot is free within two seconds; this has patience with a busy machine. The round tells what it took."""
NEXT_S = 30.0


class Wrong(Exception):
    """Something is not as it should be."""


@dataclass(frozen=True)
class Departure:
    """What a seed says of it."""

    kind: str
    end: str

    @classmethod
    def of(cls, chance: random.Random) -> Departure:
        return cls(kind=chance.choice(list(litter.KINDS)), end=chance.choice(ENDS))

    def play(self, cluster: NodeCluster, directory: Path, slots: int, jobs: list[Job]) -> float:
        """The seconds until the slots were free; raises ``Wrong``.

        ``slots``: of each node. ``directory``: for what the processes note. ``jobs`` gets what it submits.
        """
        limit_s = TIME_LIMIT_S if "time limit" in self.end else None
        lines = [str(i) for i in range(slots * len(cluster.nodes))]
        job = cluster.disco.new_job(
            "departs",
            [f"raw://{line}" for line in lines],
            map=depart,
            max_failures=0,
            task_timeout=limit_s,
            params=Params(directory=str(directory), kind=self.kind, end=self.end),
        )
        jobs.append(job)
        self._end(cluster, job, directory)
        _wait(lambda: job.results(timeout=0)[0] != "active", ENDED_S, f"{self}: the job hangs")
        ended = time.monotonic()
        status = job.results(timeout=0)[0]
        wanted = {"returns": "ready", "its job is purged": "unknown job"}.get(self.end, "dead")
        if status != wanted:
            raise Wrong(f"{self}: the job is {status}, not {wanted}")
        _wait(lambda: not _held(cluster, slots), FREE_S, f"{self}: slots are not free")
        free_s = time.monotonic() - ended
        after = cluster.disco.new_job("after", [f"raw://{line}" for line in lines], map=ones)
        jobs.append(after)
        got = sorted(result_iterator(after.wait(timeout=NEXT_S)))
        if got != sorted((line, 1) for line in lines):
            raise Wrong(f"{self}: the job after it gave {got}")
        return free_s

    def __str__(self) -> str:
        return f"{self.kind}, a task {self.end}"

    def _end(self, cluster: NodeCluster, job: Job, directory: Path) -> None:
        """Wait for a task, or as many as there are slots, to have started what it starts; then end them."""
        started = _wait(lambda: list(directory.glob("started-*")), STARTED_S, f"{self}: no task begins")
        with contextlib.suppress(Wrong):
            started = _wait(lambda: _all_started(job, directory), 2.0, "")
        horses = [int(told) for note in started if (told := note.read_text())]
        if self.end == "is killed":
            for pid in horses:
                _kill(pid)
        elif self.end == "its worker is killed":
            for parent in {parent for pid in horses if (parent := _parent(pid))}:
                send(parent, signal.SIGKILL)
        elif self.end == "its job is killed":
            job.kill()
        elif self.end == "its job is purged":
            job.purge()
        elif self.end == "its node loses its head":
            nodes = [node for node in cluster.nodes.values() if {p.pid for p in node.horses()} & set(horses)]
            for node in nodes:
                node.behead()
                node.start()
            cluster.wait_ready()


def _held(cluster: NodeCluster, slots: int) -> Any:
    """What still takes a slot: a lease, or a worker that is not there."""
    leases: Any = cluster.connection.redis.zrange(keys.LEASES, 0, -1)
    return leases or [name for name in cluster.nodes if cluster.slots(name) < slots]


def _all_started(job: Job, directory: Path) -> list[Path]:
    found = list(directory.glob("started-*"))
    return found if len(found) == job.jobinfo()["mapi"][1] else []


def _kill(pid: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        send(psutil.Process(pid), signal.SIGKILL)


def _parent(pid: int) -> psutil.Process | None:
    try:
        return psutil.Process(pid).parent()
    except psutil.NoSuchProcess:
        return None


def _wait(condition: Callable[[], Any], timeout_s: float, what: str) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise Wrong(f"{what} for {timeout_s} s")
        time.sleep(0.01)
    return value
