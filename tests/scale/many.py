"""Many tasks on a real cluster: what one costs in a small job and in a large one, and who gets a turn."""

from __future__ import annotations

import shutil
import statistics
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from disco_rq import Disco, func, result_iterator
from disco_rq.client.job import Job
from disco_rq.machine.redisserver import PrivateServer, private_directory
from disco_rq.model import TaskId
from disco_rq.store import keys
from disco_rq.store.connection import Connection
from disco_rq.store.nodes import live_slots, master_address
from disco_rq.store.tasktable import TaskStore
from tests.scale.measure import cpu_s, program

SLOTS = 2
SIZES = (100, 1_000, 10_000, 50_000)
ROUNDS = {100: 20, 1_000: 5, 10_000: 2, 50_000: 1}


SMALL = ["raw://to be or", "raw://not to be"]


def words(entry: str, params: Any) -> Iterator[tuple[str, int]]:
    for word in entry.split():
        yield word, 1


def nothing(entry: str, params: Any) -> list[tuple[str, int]]:
    return [(entry, 1)]


@dataclass(slots=True)
class Cluster:
    """Redis, a master, and a node with two slots, each a process of its own."""

    disco: Disco
    connection: Connection
    master_pid: int
    redis_pid: int

    def submit(self, name: str, tasks: int) -> Job:
        return self.disco.new_job(name, [f"raw://{i}" for i in range(tasks)], map=nothing)

    def info(self, section: str, field: str) -> int:
        info: Any = self.connection.redis.info(section)
        return int(info[field])


@contextmanager
def cluster() -> Iterator[Cluster]:
    directory = private_directory()
    try:
        with (
            PrivateServer(directory) as server,
            program("master", server.url, directory) as master,
            program("node", server.url, directory, "--node", "one", "--slots", str(SLOTS)),
        ):
            connection = Connection(server.url)
            while sum(live_slots(connection).values()) < SLOTS:
                time.sleep(0.05)
            with Disco(server.url) as disco:
                one = Cluster(disco, connection, master.pid, server.pid)
                for _ in range(3):
                    one.submit("warm", 100).wait()
                yield one
            connection.close()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Cost:
    """Of a job."""

    tasks: int
    seconds: float
    master_s: float
    redis_s: float
    redis_bytes: float
    commands: float

    def beyond(self, fixed: Cost) -> Cost:
        """What a task adds: the job less one of a single task, for each of the others."""
        others = self.tasks - fixed.tasks
        return Cost(
            self.tasks,
            *(
                (getattr(self, name) - getattr(fixed, name)) / others
                for name in ("seconds", "master_s", "redis_s", "redis_bytes", "commands")
            ),
        )

    def __str__(self) -> str:
        return (
            f"{1 / self.seconds:,.0f} tasks/s, a task costs the master {self.master_s * 1e6:.0f} us, Redis "
            f"{self.redis_s * 1e6:.0f} us, {self.redis_bytes:,.0f} bytes, {self.commands:.1f} commands"
        )


def cost(cluster: Cluster, tasks: int, rounds: int) -> Cost:
    """Of a job of so many tasks, from submit to ready: the mean of some, one after the other."""
    began, master, redis = time.perf_counter(), cpu_s(cluster.master_pid), cpu_s(cluster.redis_pid)
    memory, commands = cluster.info("memory", "used_memory"), _commands(cluster)
    for _ in range(rounds):
        cluster.submit("sized", tasks).wait()
    return Cost(
        tasks,
        (time.perf_counter() - began) / rounds,
        (cpu_s(cluster.master_pid) - master) / rounds,
        (cpu_s(cluster.redis_pid) - redis) / rounds,
        (cluster.info("memory", "used_memory") - memory) / rounds,
        (_commands(cluster) - commands) / rounds,
    )


def _commands(cluster: Cluster) -> int:
    return cluster.info("stats", "total_commands_processed")


def sizes(scale: float) -> Iterator[str]:
    """Cost of a task in jobs of 100 to 50,000."""
    with cluster() as one:
        fixed = cost(one, 1, 20)
        yield f"a job of one task: {fixed.seconds * 1000:.0f} ms, {fixed.commands:.0f} Redis commands"
        costs = [cost(one, max(2, round(size * scale)), ROUNDS[size]).beyond(fixed) for size in SIZES]
        for each in costs:
            yield f"{each.tasks:,} tasks: {each}"
        for what in ("seconds", "master_s", "redis_s", "redis_bytes", "commands"):
            values = [getattr(each, what) for each in costs]
            spread = max(values) / min(values)
            yield f"{what}: largest job {values[-1] / values[0]:.2f} x smallest, all within {spread:.2f} x"


def awaited(scale: float) -> Iterator[str]:
    """A thousand small jobs, each awaited before the next: kept, and purged when it is read."""
    jobs = max(20, round(1_000 * scale))
    tenth = jobs // 10
    for is_purged in (False, True):
        with cluster() as one:
            master, redis, commands = cpu_s(one.master_pid), cpu_s(one.redis_pid), _commands(one)
            taken_ms = []
            for _ in range(jobs):
                began = time.perf_counter()
                job = one.disco.new_job("small", SMALL, map=words, reduce=func.sum_reduce, nr_reduces=1)
                assert dict(result_iterator(job.wait())) == {"to": 2, "be": 2, "or": 1, "not": 1}
                if is_purged:
                    job.purge()
                taken_ms.append((time.perf_counter() - began) * 1000)
            yield (
                f"{jobs:,} {'purged' if is_purged else 'kept'}: median {statistics.median(taken_ms):.1f} ms "
                f"(first tenth {statistics.median(taken_ms[:tenth]):.1f}, "
                f"last {statistics.median(taken_ms[-tenth:]):.1f}), the slowest {max(taken_ms):.0f} ms; "
                f"a job costs the master {(cpu_s(one.master_pid) - master) / jobs * 1000:.1f} ms, Redis "
                f"{(cpu_s(one.redis_pid) - redis) / jobs * 1000:.1f} ms, "
                f"{(_commands(one) - commands) / jobs:.0f} commands"
            )


def crowd(scale: float) -> Iterator[str]:
    """200 jobs of 20 tasks at once, and the same as one job."""
    jobs = max(2, round(200 * scale))
    with cluster() as one:
        alone_s = cost(one, jobs * 20, 1).seconds
        began = time.perf_counter()
        started = [one.submit(f"crowd{i}", 20) for i in range(jobs)]
        submitted_s = time.perf_counter() - began
        for job in started:
            assert len(job.wait()) == 20
        together_s = time.perf_counter() - began
        yield (
            f"{jobs} jobs of 20: {together_s:.2f} s ({submitted_s:.2f} s of it submitting), "
            f"one of {jobs * 20:,}: {alone_s:.2f} s"
        )


def beside(scale: float) -> Iterator[str]:
    """A job of two tasks beside one of 50,000: when it starts, when it has ended."""
    with cluster() as one:
        big = one.submit("big", round(50_000 * scale))
        started_ms: list[float] = []
        ended_ms: list[float] = []
        time.sleep(1.0)
        while len(ended_ms) < 12 and big.jobinfo()["active"] == "active":
            began = time.perf_counter()
            small = one.submit("small", 2)
            small.wait()
            ended_ms.append((time.perf_counter() - began) * 1000)
            submitted: Any = one.connection.redis.hget(keys.JobKeys(small.name).job, "submitted")
            rows = TaskStore(one.connection).page(small.name, [TaskId("map", 0), TaskId("map", 1)])
            started_ms.append(min(row.started or 0 for row in rows) - int(submitted))
            time.sleep(0.3)
        yield f"{len(ended_ms)} jobs of two tasks beside it started after {_spread(started_ms)} ms"
        yield f"and were ready, in the client, after {_spread(ended_ms)} ms"
        big.kill()


def _spread(values: list[float]) -> str:
    return f"{min(values):.0f} to {max(values):.0f} (median {statistics.median(values):.0f})"


def pages(scale: float) -> Iterator[str]:
    """The page of a job of 50,000 tasks: each of its requests, when it runs and when it is ready."""
    with cluster() as one:
        root = f"http://{master_address(one.connection)}/api/v1/jobs/"
        big = one.submit("big", round(50_000 * scale))
        time.sleep(2.0)
        requests = {
            "overview": "",
            "first tasks": "/tasks?limit=100",
            "slowest tasks": "/tasks?limit=100&sort=duration&order=desc",
            "timeline": "/timeline",
            "results": "/results?limit=100",
        }
        for state in ("running", "ready"):
            if state == "ready":
                big.wait()
            for what, path in requests.items():
                first = _fetch_s(root + big.name + path)
                again = [_fetch_s(root + big.name + path) for _ in range(5)]
                median = statistics.median(again)
                yield f"{state}, {what}: first {first * 1000:.0f} ms, again {median * 1000:.0f} ms"
                time.sleep(3.5)  # what was read for it is forgotten


def _fetch_s(url: str) -> float:
    began = time.perf_counter()
    with urllib.request.urlopen(url) as answer:
        assert answer.status == 200
        answer.read()
    return time.perf_counter() - began


ROWS: dict[str, Callable[[float], Iterator[str]]] = {
    "sizes": sizes,
    "awaited": awaited,
    "crowd": crowd,
    "beside": beside,
    "pages": pages,
}
