"""200 nodes with 2,000 slots on this machine: the real master and Redis, and nodes that only sleep."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from disco_rq import Disco
from disco_rq.machine.redisserver import PrivateServer, private_directory
from disco_rq.store import keys
from disco_rq.store.connection import Connection
from disco_rq.store.nodes import live_slots
from tests.scale.measure import Usage, program, usage

WARM_S = 12.0
"""Not measured: jobs are submitted, slots get their first tasks, tasks' times spread."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """What is simulated."""

    nodes: int = 200
    slots: int = 10  # of each
    jobs: int = 20
    mean_s: float = 4.0  # of a task
    deaths: float = 30.0  # a minute; each fifth is of a whole node
    seconds: float = 45.0  # measured
    processes: int = 2


@dataclass(frozen=True, slots=True)
class Outcome:
    wanted: float  # tasks a second that keep all slots busy
    rate: float
    utilisation: float
    least_share: float
    idle_ms: tuple[int, int]  # of a slot between two batches: median, 95th in 100
    deaths: tuple[int, int]  # nodes, workers
    refused: int
    renewals: float  # a second
    master: Usage
    redis: Usage
    commands: int  # of Redis, in all

    def __str__(self) -> str:
        tasks = self.rate * self.master.seconds
        return (
            f"{self.rate:,.0f} tasks/s (all slots: {self.wanted:,.0f}), slots busy {self.utilisation:.1%}, "
            f"least share {self.least_share:.2f}, "
            f"idle between batches {self.idle_ms[0]} / {self.idle_ms[1]} ms, "
            f"master {self.master.share:.0%} ({self.master.cpu_s / tasks * 1e6:.0f} us a task, "
            f"{self.master.rss_bytes >> 20} MiB), Redis {self.redis.share:.0%} "
            f"({self.redis.cpu_s / tasks * 1e6:.0f} us, {self.commands / tasks:.0f} commands a task), "
            f"{self.renewals:,.0f} renewals/s, died: {self.deaths[0]} nodes, {self.deaths[1]} workers, "
            f"{self.refused} late commits"
        )


def simulate(cluster: Cluster) -> Outcome:
    directory = private_directory()
    try:
        with PrivateServer(directory) as server, program("master", server.url, directory) as master:
            connection = Connection(server.url)
            with _nodes(cluster, server.url) as nodes:
                slots = cluster.nodes * cluster.slots
                while sum(live_slots(connection).values()) < slots:
                    time.sleep(0.1)
                _submit(cluster, server.url)
                time.sleep(WARM_S)
                before = usage(master.pid), usage(server.pid)
                began, commands = time.time(), _commands(connection)
                time.sleep(cluster.seconds)
                ended, commands = time.time(), _commands(connection) - commands
                used = before[0].until(usage(master.pid)), before[1].until(usage(server.pid))
                told = [json.loads(node.communicate()[0]) for node in nodes]
            done = _done(connection)
            assert done == sum(one["committed"] for one in told), "a commit was counted twice, or never"
            connection.close()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return _outcome(cluster, told, (began, ended), used, commands)


def _outcome(
    cluster: Cluster,
    told: list[dict[str, Any]],
    window: tuple[float, float],
    used: tuple[Usage, Usage],
    commands: int,
) -> Outcome:
    busy = alive = 0
    shares: Counter[str] = Counter()
    for one in told:
        for at, running, living, jobs in one["samples"]:
            if window[0] <= at <= window[1]:
                busy, alive = busy + running, alive + living
                shares.update(jobs)
    idle = sorted(ms for one in told for ms in one["idle_ms"])
    seconds = cluster.seconds + WARM_S
    return Outcome(
        wanted=cluster.nodes * cluster.slots / cluster.mean_s,
        rate=sum(one["committed"] for one in told) / seconds,
        utilisation=busy / alive,
        least_share=min(shares.values()) / statistics.fmean(shares.values()) * (len(shares) / cluster.jobs),
        idle_ms=(idle[len(idle) // 2], idle[len(idle) * 95 // 100]),
        deaths=(sum(one["node_deaths"] for one in told), sum(one["worker_deaths"] for one in told)),
        refused=sum(one["refused"] for one in told),
        renewals=sum(one["renewals"] for one in told) / seconds,
        master=used[0],
        redis=used[1],
        commands=commands,
    )


@contextmanager
def _nodes(cluster: Cluster, url: str) -> Iterator[list[subprocess.Popen[bytes]]]:
    each = cluster.nodes // cluster.processes
    seconds = cluster.seconds + WARM_S + 3
    started = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.scale.fakenodes", url, str(i * each), str(each)),
                *(str(cluster.slots), str(cluster.mean_s), str(cluster.deaths / cluster.processes)),
                str(seconds),
            ],
            stdout=subprocess.PIPE,
        )
        for i in range(cluster.processes)
    ]
    try:
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
        yield started
    finally:
        for process in started:
            process.kill()
            process.wait()


def _submit(cluster: Cluster, url: str) -> None:
    """More tasks than can be done in the time, also of the first job, which begins alone."""
    slots = cluster.nodes * cluster.slots
    rounds = (cluster.seconds + WARM_S) / cluster.mean_s
    tasks = int(1.5 * slots * rounds / cluster.jobs) + slots
    with Disco(url) as disco:
        for i in range(cluster.jobs):
            disco.new_job(f"job{i}", [f"raw://{j}" for j in range(tasks)], map=_nothing)


def _nothing(entry: str, params: Any) -> list[tuple[str, int]]:
    return [(entry, 1)]


def _commands(connection: Connection) -> int:
    info: Any = connection.redis.info("stats")
    return int(info["total_commands_processed"])


def _done(connection: Connection) -> int:
    names: Any = connection.redis.zrange(keys.JOBS, 0, -1)
    return sum(int(connection.redis.hget(keys.JobKeys(name.decode()).job, "map:done") or 0) for name in names)


def row(scale: float) -> Iterator[str]:
    """2,000 slots on 200 nodes: the real master, store and scripts on a real Redis, workers that sleep."""
    nodes = max(4, 2 * round(100 * scale))
    for mean_s in (4.0, 2.5):
        yield f"tasks of {mean_s:g} s: {simulate(Cluster(nodes=nodes, mean_s=mean_s))}"
