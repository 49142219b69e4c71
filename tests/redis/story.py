"""How a test tells what happens to a job: one line for each step that client, master or worker takes."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from disco_rq.model import Input, JobSpec, MapInput, StageResult, TaskId
from disco_rq.store import keys
from disco_rq.store.attempts import Attempt, AttemptStore, Commit, Failure, FailureKind
from disco_rq.store.cluster import ClusterStore
from disco_rq.store.connection import Connection
from disco_rq.store.history import History
from disco_rq.store.jobs import JobStore
from disco_rq.store.lead import BatchPlace, CopyOf, Lead

JOB = "job@20260101-000000-aaaa"
OTHER = "other@20260101-000000-bbbb"
TOKEN = "the-leader"
BATCH = "batch-1"

T = TypeVar("T")


def wait_until(condition: Callable[[], bool], timeout_s: float = 40.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "still not so after the deadline"
        time.sleep(0.005)


def race(clients: Sequence[Connection], call: Callable[[Connection, int], T]) -> list[T]:
    """What the call gives each client when all call it at the same time."""
    start = threading.Barrier(len(clients))
    answers: dict[int, T] = {}

    def run(number: int) -> None:
        clients[number].redis.ping()
        start.wait()
        answers[number] = call(clients[number], number)

    threads = [threading.Thread(target=run, args=[number]) for number in range(len(clients))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [answers[number] for number in range(len(clients))]


def everything(connection: Connection) -> dict[str, Any]:
    """Every key with its content."""
    server: Any = connection.redis
    read: dict[bytes, Callable[[bytes], Any]] = {
        b"string": server.get,
        b"hash": server.hgetall,
        b"set": server.smembers,
        b"zset": lambda key: server.zrange(key, 0, -1, withscores=True),
        b"list": lambda key: server.lrange(key, 0, -1),
        b"stream": server.xrange,
    }
    return {key.decode(): read[server.type(key)](key) for key in server.keys("*")}


def lead(connection: Connection, token: str = TOKEN) -> Lead:
    leads = Lead(connection, token)
    assert leads.take("127.0.0.1:8989")
    return leads


def submit(
    connection: Connection, maps: int = 2, reduces: int = 1, *, name: str = JOB, **options: Any
) -> JobSpec:
    spec = JobSpec(
        name=name,
        nr_maps=maps,
        nr_reduces=reduces,
        has_map=True,
        has_reduce=reduces > 0,
        owner="me",
        **options,
    )
    assert JobStore(connection).submit(spec, b"pack", map_inputs(maps))
    return spec


def map_inputs(maps: int) -> list[MapInput]:
    return [MapInput(((Input(f"raw://{i}"),),)) for i in range(maps)]


def assign(
    connection: Connection,
    tasks: Sequence[tuple[TaskId, int]],
    *,
    job: str = JOB,
    node: str = "n1",
    batch: str = BATCH,
    token: str = TOKEN,
) -> int:
    leads = Lead(connection, token)
    pipe = leads.transaction()
    leads.assign(pipe, BatchPlace(job, node, batch), tasks)
    assigned: int = pipe.execute()[0]
    return assigned


def started(
    connection: Connection,
    task: str,
    number: int = 1,
    *,
    job: str = JOB,
    node: str = "n1",
    worker: str = "w1",
) -> Attempt:
    """An attempt that is assigned and claimed."""
    batch, of = f"{task.replace(':', '-')}_{number}", TaskId.parse(task)
    assert assign(connection, [(of, number)], job=job, node=node, batch=batch) == 1
    assert AttemptStore(connection).claim(job, batch, worker, [(of, number)]) != [None]
    return Attempt(job, of, number, node, worker)


def assign_copy(
    connection: Connection,
    of: Attempt,
    number: int = 2,
    *,
    node: str = "n2",
    batch: str = "copy-1",
    token: str = TOKEN,
) -> int:
    leads = Lead(connection, token)
    pipe = leads.transaction()
    copy = CopyOf(of.task, number, of.number, f"{of.task} lags: a copy starts on {node}")
    leads.assign_copy(pipe, BatchPlace(of.job, node, batch), copy)
    answer: int = pipe.execute()[0]
    return answer


def copy_of(
    connection: Connection, of: Attempt, number: int = 2, *, node: str = "n2", worker: str = "w2"
) -> Attempt:
    """A copy that is assigned and claimed."""
    batch = f"{of.task.phase}-{of.task.index}_{number}"
    assert assign_copy(connection, of, number, node=node, batch=batch) == 1
    assert AttemptStore(connection).claim(of.job, batch, worker, [(of.task, number)]) != [None]
    return Attempt(of.job, of.task, number, node, worker)


def copied(connection: Connection) -> str:
    """State and number of the copy of map:0."""
    [(_, copy)] = ClusterStore(connection).states([(JOB, TaskId("map", 0))])
    return f"{copy.state} {copy.attempt}" if copy else ""


def counts(connection: Connection) -> list[int]:
    """Maps that wait, run, are done, have failed."""
    return JobStore(connection).record(JOB).phase("map")


def leases(connection: Connection) -> list[str]:
    """The attempts that have one."""
    return [f"{one.task}/{one.attempt}" for one in JobStore(connection).running()]


def commit(
    connection: Connection,
    attempt: Attempt,
    *,
    counters: Mapping[str, int] | None = None,
    partitions: Mapping[int, int] | None = None,
    address: str = "disco://n1/out",
    duration_ms: int = 50,
    digests: bytes = b"",
    records: int = 2,
    **of_reader: Any,
) -> str:
    """``of_reader``: what a reduce tells of its reading, or a map of its first output, as in ``Commit``."""
    result = StageResult(
        3, records, 10, counters=counters or {}, partition_bytes=partitions or {}, digests=digests
    )
    told = Commit(attempt, address, duration_ms, result, **of_reader)
    return AttemptStore(connection).commit([told])[0]


def reading(connection: Connection) -> Attempt:
    """The attempt of reduce:0 that runs; if there is none, one that begins now."""
    state = ClusterStore(connection).task_state(JOB, TaskId("reduce", 0))
    if state is None or state.state != "running":
        return started(connection, "reduce:0", state.attempt + 1 if state else 1)
    return Attempt(JOB, TaskId("reduce", 0), state.attempt, state.node, state.worker)


def lose(
    connection: Connection,
    address: str = "disco://n1/out",
    *,
    task: str = "map:0",
    survives: int = 3,
    reader: Attempt | None = None,
) -> str:
    """A reduce cannot read the output of a map."""
    reader = reader or reading(connection)
    of = TaskId.parse(task)
    return AttemptStore(connection).lose_output(reader, of, address, Failure("gone"), survives=survives)


def fail(
    connection: Connection,
    attempt: Attempt,
    kind: FailureKind = "data",
    *,
    survives: int = 3,
    message: str = "DataError: bad",
    traceback: str = "",
) -> str:
    return AttemptStore(connection).fail(attempt, kind, Failure(message, traceback), survives=survives)


def put(connection: Connection, attempt: Attempt, key: str, value: str = "v", count: int = 1) -> int:
    return AttemptStore(connection).put(attempt, key, b"s" + value.encode(), count)


def staged_keys(connection: Connection) -> list[str]:
    return [key for key in everything(connection) if ":staged:" in key]


def state_of(connection: Connection, task: str | TaskId, job: str = JOB) -> str:
    state = ClusterStore(connection).task_state(job, TaskId.parse(str(task)))
    return f"{state.state} {state.attempt}" if state else "waiting 0"


def control_kinds(connection: Connection) -> list[str]:
    _, events = ClusterStore(connection).read_control("0-0", 1)
    return [event.kind for event in events]


def history(connection: Connection, job: str = JOB) -> list[str]:
    return [event.message for event in History(connection).events(job)]


def expire_lease(connection: Connection, attempt: Attempt) -> None:
    """As if the worker had not renewed for longer than a lease."""
    connection.redis.zadd(keys.LEASES, {f"{attempt.job} {attempt.task} {attempt.number}": 1})


def failures_of(connection: Connection, task: str, job: str = JOB) -> list[dict[str, Any]]:
    """The failures of a task that count."""
    listed: Any = connection.redis.hget(keys.JobKeys(job).failures, task)
    return json.loads(listed) if listed else []
