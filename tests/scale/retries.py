"""What a retry of a large job takes: one made up in a real Redis, of which all maps but one are done."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from disco_rq import Disco, Job
from disco_rq.machine.redisserver import PrivateServer, private_directory
from disco_rq.model import StageResult, TaskId
from disco_rq.outputs.addresses import output_address
from disco_rq.runtime import counter, put, this_partition
from disco_rq.store.attempts import Attempt, AttemptStore, Commit
from disco_rq.store.connection import Connection
from disco_rq.store.ending import Ending
from disco_rq.store.lead import BatchPlace, Lead
from disco_rq.store.nodes import NodeStore
from tests.scale.measure import cpu_s

SIZES = (5_000, 50_000)
ROUNDS = 3
NODE, WORKER = "one", "one.0"
BATCH, REDUCES = 500, 10
PUTS_EACH = 10
"""One map in so many has put an OOB result."""


def words(entry: str, params: Any) -> Iterator[tuple[str, int]]:
    counter("entries")
    put(f"at:{this_partition()}", entry)
    yield entry, 1


def last(pairs: Any, params: Any) -> Iterator[tuple[str, int]]:
    yield from pairs


@dataclass(slots=True)
class MadeUp:
    """Redis, with a leader and a node that are only told of."""

    disco: Disco
    connection: Connection
    leads: Lead
    redis_pid: int

    def renew(self) -> None:
        self.leads.take("127.0.0.1:1")
        AttemptStore(self.connection).renew(NODE, WORKER)

    def dead_job(self, maps: int) -> Job:
        """All of its maps are done but the last."""
        self.renew()
        inputs = [f"raw://{i}" for i in range(maps)]
        job = self.disco.new_job("large", inputs, map=words, reduce=last, nr_reduces=REDUCES)
        store = AttemptStore(self.connection)
        for first in range(0, maps - 1, BATCH):
            self.renew()
            tasks = [(TaskId("map", i), 1) for i in range(first, min(first + BATCH, maps - 1))]
            pipe = self.leads.transaction()
            self.leads.assign(pipe, BatchPlace(job.name, NODE, f"b{first}"), tasks)
            pipe.execute()
            store.claim(job.name, f"b{first}", WORKER, tasks)
            attempts = [Attempt(job.name, task, number, NODE, WORKER) for task, number in tasks]
            for attempt in attempts[::PUTS_EACH]:
                store.put(attempt, f"at:{attempt.task.index}", b"sa value", 1)
            answers = store.commit([self._done(attempt) for attempt in attempts])
            assert set(answers) == {"ok"}
        Ending(self.connection).kill(job.name, "it was killed")
        return job

    def _done(self, attempt: Attempt) -> Commit:
        index = attempt.task.index
        result = StageResult(
            *(1, 1, 100, {"entries": 1}), partition_bytes={index % REDUCES: 100}, digests=bytes(4 * REDUCES)
        )
        address = output_address(NODE, attempt.job, attempt.task, attempt.number)
        return Commit(attempt, address, 50, result, puts=int(index % BATCH % PUTS_EACH == 0))


@contextmanager
def made_up() -> Iterator[MadeUp]:
    directory = private_directory()
    try:
        with PrivateServer(directory) as server:
            connection = Connection(server.url)
            leads = Lead(connection, "leader")
            leads.take("127.0.0.1:1")
            NodeStore(connection, NODE).register({"host": "nowhere"})
            with Disco(server.url) as disco:
                yield MadeUp(disco, connection, leads, server.pid)
            connection.close()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Decided:
    """One retry, from the call to its answer."""

    tasks: int
    seconds: float
    client_s: float
    redis_s: float
    blocked_ms: float
    """The longest that Redis was at one call."""

    def __str__(self) -> str:
        return (
            f"{self.tasks:,} maps: decided in {self.seconds:.2f} s (client {self.client_s:.2f} s, Redis "
            f"{self.redis_s:.2f} s of CPU; {self.seconds / self.tasks * 1e6:.0f} us a task); "
            f"Redis at one call for {self.blocked_ms:.0f} ms at most"
        )


def decided(one: MadeUp, job: Job, tasks: int) -> Decided:
    one.renew()
    redis = one.connection.redis
    redis.config_set("slowlog-log-slower-than", 1000)
    redis.slowlog_reset()
    began, client_s, redis_s = time.perf_counter(), time.process_time(), cpu_s(one.redis_pid)
    new = job.retry()
    found = time.perf_counter() - began, time.process_time() - client_s, cpu_s(one.redis_pid) - redis_s
    slow: Any = redis.slowlog_get(1000)
    assert new.jobinfo()["kept"] == tasks - 1
    new.kill()
    new.purge()
    return Decided(tasks, *found, max((entry["duration"] for entry in slow), default=0) / 1000)


def row(scale: float) -> Iterator[str]:
    """How long a retry of a large job takes to decide, and to be stored: 5,000 maps and 50,000."""
    best = []
    for size in SIZES:
        with made_up() as one:
            tasks = max(2, round(size * scale))
            job = one.dead_job(tasks)
            found = [decided(one, job, tasks) for _ in range(ROUNDS)]
            yield from map(str, found)
            best.append(min(found, key=lambda each: each.seconds))
    small, large = best
    ratio = (large.seconds / large.tasks) / (small.seconds / small.tasks)
    yield f"a task of the larger one costs {ratio:.2f} times one of the smaller"
