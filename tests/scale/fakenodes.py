"""Nodes without machines: one process that is many workers, each of which sleeps instead of running tasks.

Batches come out of RQ's queues; claims, renewals and commits are those of the real store and scripts. What RQ
does beside them for each batch and each worker is sent as the same commands. Only the user's code and the
processes are missing.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import select
import sys
import time
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from disco_rq.model import RENEW_S, StageResult, TaskId
from disco_rq.packing import Serializer
from disco_rq.store import keys
from disco_rq.store.attempts import Attempt, AttemptStore, Commit
from disco_rq.store.connection import Connection
from disco_rq.store.nodes import NodeStore
from tests.scale import rqcommands

SHORT_S = 0.05
"""RQ is told of the beginning of a batch that runs for longer, as the real worker does."""
AWAY_S = 20.0
SAMPLE_S = 0.5


@dataclass(slots=True)
class Batch:
    """What a slot runs."""

    job: str
    id: str
    tasks: list[tuple[TaskId, int]]


@dataclass(slots=True, eq=False)
class Slot:
    """One worker."""

    node: Node
    name: str
    batch: Batch | None = None
    is_alive: bool = True
    free_since: float = 0.0


@dataclass(slots=True, eq=False)
class Node:
    name: str
    life: int = 0
    line: Any = None  # the connection that waits for a batch
    waits: bool = False
    free: deque[Slot] = field(default_factory=deque)
    slots: list[Slot] = field(default_factory=list)


@dataclass(slots=True)
class Told:
    """What the process tells at its end."""

    committed: int = 0
    refused: int = 0  # commits of attempts that were lost meanwhile
    batches: int = 0
    node_deaths: int = 0
    worker_deaths: int = 0
    renewals: int = 0
    idle_ms: list[int] = field(default_factory=list)  # of each slot between two batches
    samples: list[tuple[float, int, int, dict[str, int]]] = field(
        default_factory=list
    )  # at, busy, alive, jobs


class FakeNodes:
    """Some nodes, in one thread: what is due is in a heap, what has come is found by ``select``."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._random = random.Random(options.first)
        self._connection = Connection(options.redis)
        self._store = AttemptStore(self._connection)
        self._rq = Connection(options.redis)
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = 0
        self._commits: list[Commit] = []
        self._commands: list[tuple[Any, ...]] = []
        self._poll = select.epoll()
        self._node_of: dict[int, Node] = {}
        self._nodes = [Node(f"node{options.first + i:03}") for i in range(options.nodes)]
        self._told = Told()

    def run(self) -> Told:
        for node in self._nodes:
            self._arrive(node)
        print("ready", flush=True)
        end = time.monotonic() + self._options.seconds
        self._after(SAMPLE_S, self._sample)
        self._after(self._death_in(), self._kill_someone)
        while (now := time.monotonic()) < end:
            while self._due and self._due[0][0] <= now:
                heapq.heappop(self._due)[2]()
            self._flush()
            wait_s = max(0.0, min(self._due[0][0], end) - time.monotonic())
            for fd, _ in self._poll.poll(wait_s):
                self._take(self._node_of[fd])
            self._flush()
        return self._told

    def _after(self, seconds: float, do: Callable[[], None]) -> None:
        self._serial += 1
        heapq.heappush(self._due, (time.monotonic() + seconds, self._serial, do))

    def _flush(self) -> None:
        """Commit what has ended, and tell RQ: each transition by itself, all in one round trip."""
        if self._commits:
            commits, self._commits = self._commits, []
            answers = self._store.commit(commits)
            self._told.committed += answers.count("ok")
            self._told.refused += len(answers) - answers.count("ok")
        if self._commands:
            commands, self._commands = self._commands, []
            self._rq.line.ask(commands)

    # -- nodes and workers

    def _arrive(self, node: Node) -> None:
        node.life += 1
        node.slots = []
        node.free.clear()
        node.line = Connection(self._options.redis).redis.connection_pool.make_connection()
        node.line.connect()
        fd = node.line._sock.fileno()
        self._node_of[fd] = node
        self._poll.register(fd, select.EPOLLIN)
        for i in range(self._options.slots):
            self._hire(node, f"{node.name}.{i}-{node.life}")
        NodeStore(self._connection, node.name).register({"host": "nowhere"})
        self._listen(node)

    def _hire(self, node: Node, name: str) -> None:
        slot = Slot(node, name, free_since=0.0)
        node.slots.append(slot)
        node.free.append(slot)
        self._store.renew(node.name, name)
        self._after(self._random.uniform(0, RENEW_S), lambda: self._renew(slot))

    def _renew(self, slot: Slot) -> None:
        if not slot.is_alive:
            return
        batch = slot.batch
        self._told.renewals += 1
        if batch is None:
            self._store.renew(slot.node.name, slot.name)
        else:
            self._store.renew(slot.node.name, slot.name, batch.job, batch.tasks)
        self._commands += rqcommands.beside_a_renewal(slot.node.name, slot.name)
        self._after(RENEW_S, lambda: self._renew(slot))

    def _death_in(self) -> float:
        return self._random.expovariate(self._options.deaths / 60) if self._options.deaths else 1e9

    def _kill_someone(self) -> None:
        """A node goes without a word, or a worker does and its node says so and starts another."""
        node = self._random.choice(self._nodes)
        if node.slots and self._random.random() < 0.2:
            self._told.node_deaths += 1
            for slot in node.slots:
                slot.is_alive = False
            node.slots, node.waits = [], False
            fd = node.line._sock.fileno()
            self._poll.unregister(fd)
            del self._node_of[fd]
            node.line.disconnect()
            self._after(AWAY_S, lambda: self._arrive(node))
        elif node.slots:
            self._told.worker_deaths += 1
            slot = self._random.choice(node.slots)
            slot.is_alive = False
            node.slots.remove(slot)
            if slot in node.free:
                node.free.remove(slot)
            NodeStore(self._connection, node.name).drop_slots(slot.name)
            self._hire(node, f"{slot.name}x")
            NodeStore(self._connection, node.name).register({"host": "nowhere"})
            self._listen(node)
        self._after(self._death_in(), self._kill_someone)

    # -- batches

    def _listen(self, node: Node) -> None:
        """One worker of the node waits for the next batch, if one is free."""
        if not node.waits and node.free:
            node.waits = True
            queue = keys.rq_list(node.name)
            node.line.send_command("BLMOVE", queue, f"{queue}:intermediate", "LEFT", "RIGHT", 0)

    def _take(self, node: Node) -> None:
        batch_id = node.line.read_response().decode()
        node.waits = False
        slot = node.free.popleft() if node.free else None
        if slot is None:
            return  # the worker that waited has died meanwhile: the batch is lost on its way
        [found] = self._rq.line.ask([("HGETALL", f"rq:job:{batch_id}")]) or [None]
        told = dict(zip(found[::2], found[1::2], strict=True)) if found else {}
        if b"data" in told:
            job, _, tasks = Serializer.loads(zlib.decompress(told[b"data"]))[2]
            self._start(
                slot, Batch(job, batch_id, [(TaskId.parse(task), attempt) for task, attempt in tasks])
            )
        else:
            node.free.append(slot)
        self._listen(node)

    def _start(self, slot: Slot, batch: Batch) -> None:
        claimed = self._store.claim(batch.job, batch.id, slot.name, batch.tasks)
        began = time.monotonic()
        self._told.batches += 1
        if slot.free_since:
            self._told.idle_ms.append(round((began - slot.free_since) * 1000))
        slot.batch = batch
        ends_s = 0.0
        mine = [task for task, given in zip(batch.tasks, claimed, strict=True) if given is not None]
        for task, number in mine:
            attempt = Attempt(batch.job, task, number, slot.node.name, slot.name)
            took_s = self._task_s()
            ends_s += took_s
            self._after(ends_s, lambda attempt=attempt, s=took_s: self._commit(slot, attempt, s))  # type: ignore[misc]
        if ends_s > SHORT_S:
            self._after(SHORT_S, lambda: self._tell_start(slot, batch))
        self._after(ends_s, lambda: self._end(slot, batch))

    def _task_s(self) -> float:
        """Lognormal, and each hundredth takes ten times as long."""
        straggles = 10.0 if self._random.random() < 0.01 else 1.0
        mean_s: float = self._options.mean
        return self._random.lognormvariate(-0.125, 0.5) * mean_s * straggles / 1.09

    def _commit(self, slot: Slot, attempt: Attempt, took_s: float) -> None:
        if slot.is_alive:
            ms = round(took_s * 1000)
            result = StageResult(entries_in=1, records_out=1, bytes_out=100)
            self._commits.append(Commit(attempt, f"disco://{attempt.node}/{attempt}", ms, result))

    def _tell_start(self, slot: Slot, batch: Batch) -> None:
        if slot.is_alive:
            self._commands += rqcommands.at_the_start(slot.node.name, slot.name, batch.id)

    def _end(self, slot: Slot, batch: Batch) -> None:
        if not slot.is_alive:
            return
        self._commands += rqcommands.at_the_end(slot.node.name, slot.name, batch.id)
        slot.batch = None
        slot.free_since = time.monotonic()
        slot.node.free.append(slot)
        self._listen(slot.node)

    def _sample(self) -> None:
        slots = [slot for node in self._nodes for slot in node.slots]
        busy = [slot.batch.job for slot in slots if slot.batch is not None]
        self._told.samples.append((time.time(), len(busy), len(slots), dict(Counter(busy))))
        self._after(SAMPLE_S, self._sample)


def main(arguments: Iterable[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("redis")
    for name in ("first", "nodes", "slots"):
        parser.add_argument(name, type=int)
    for name in ("mean", "deaths", "seconds"):  # deaths a minute
        parser.add_argument(name, type=float)
    told = FakeNodes(parser.parse_args(list(arguments))).run()
    told.idle_ms.sort()
    print(json.dumps({name: getattr(told, name) for name in Told.__dataclass_fields__}))


if __name__ == "__main__":
    main(sys.argv[1:])
