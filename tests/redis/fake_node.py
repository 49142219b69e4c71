"""Nodes of a test: threads that take batches from the RQ queue, claim and commit, and run nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from redis.exceptions import ResponseError
from rq.job import Job

from disco_rq.master.master import Master
from disco_rq.model import StageResult, TaskId
from disco_rq.packing import Serializer
from disco_rq.settings import Settings
from disco_rq.store import keys
from disco_rq.store.attempts import Attempt, AttemptStore, Commit
from disco_rq.store.connection import Connection
from disco_rq.store.nodes import NodeStore
from tests.redis.story import wait_until

Outcome = Callable[[Connection, Attempt], None]


def commit_it(connection: Connection, attempt: Attempt, duration_ms: int = 1) -> None:
    result = StageResult(entries_in=1, records_out=1, bytes_out=1, counters={"tasks": 1})
    AttemptStore(connection).commit(
        [Commit(attempt, f"disco://{attempt.node}/{attempt}", duration_ms, result)]
    )


def queued(connection: Connection, node: str) -> list[str]:
    """The batches in a node's queue."""
    ids: Any = connection.redis.lrange(f"rq:queue:{keys.queue(node)}", 0, -1)
    return [batch.decode() for batch in ids]


def take(connection: Connection, node: str) -> tuple[str, str, list[tuple[TaskId, int]]] | None:
    """Pop a batch as RQ does: (job, batch, tasks)."""
    batch: Any = connection.redis.lpop(f"rq:queue:{keys.queue(node)}")
    if batch is None:
        return None
    job, batch_id, tasks = Job.fetch(batch.decode(), connection=connection.redis, serializer=Serializer).args
    return job, batch_id, [(TaskId.parse(task), attempt) for task, attempt in tasks]


def register(connection: Connection, node: str, slots: int = 1) -> None:
    for slot in range(slots):
        AttemptStore(connection).renew(node, f"{node}.{slot}")
    NodeStore(connection, node).register({"host": "h"})


@contextmanager
def working(
    connect: Callable[[], Connection], node: str, slots: int = 1, outcome: Outcome = commit_it
) -> Iterator[list[Attempt]]:
    """A node with so many workers. Gives the list of the attempts that they claimed, in order."""
    stop = threading.Event()
    claimed: list[Attempt] = []
    register(connect(), node, slots)

    def work(connection: Connection, worker: str) -> None:
        while not stop.is_set():
            taken = take(connection, node)
            if taken is None:
                stop.wait(0.002)
                continue
            job, batch, tasks = taken
            with suppress(ResponseError, ValueError):  # as a horse breaks down of it
                inputs = AttemptStore(connection).claim(job, batch, worker, tasks)
                for (task, number), task_input in zip(tasks, inputs, strict=True):
                    if task_input is not None:
                        claimed.append(Attempt(job, task, number, node, worker))
                        outcome(connection, claimed[-1])

    threads = [threading.Thread(target=work, args=[connect(), f"{node}.{i}"]) for i in range(slots)]
    for thread in threads:
        thread.start()
    try:
        yield claimed
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def leads(connection: Connection, other_than: Master) -> bool:
    """Whether another master does."""
    leader: bytes | None = connection.redis.get(keys.LEADER)  # type: ignore[assignment]
    return leader is not None and leader != other_than._lead.token.encode()


@contextmanager
def master(connect: Callable[[], Connection]) -> Iterator[Master]:
    """A master in a thread, which leads when this begins."""
    connection = connect()
    one = Master(connection, Settings(http="127.0.0.1:8989"))
    errors: list[BaseException] = []

    def run() -> None:
        try:
            one.run()
        except BaseException as error:  # noqa: BLE001  told to the test below
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        wait_until(lambda: bool(errors) or hasattr(one, "_term") or leads(connection, other_than=one))
        yield one
    finally:
        one.stop()
        thread.join()
    assert errors == []
