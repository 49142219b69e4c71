"""How Redis has tasks, their states and the leases of attempts: the one place that reads and writes these
words.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from disco_rq.model import NODE_NAME, TaskId
from disco_rq.store.line import Arg


def task_of(field: bytes) -> TaskId:
    """The task that a field of a hash is called after. Raises ``ValueError``."""
    return TaskId.parse(field.decode())


def attempt_of(field: bytes) -> tuple[TaskId, int]:
    """The task and the number of the attempt that a field is called after. Raises ``ValueError``."""
    task, _, number = field.decode().partition("/")
    return TaskId.parse(task), int(number)


def attempt_field(task: TaskId, number: int) -> str:
    """What ``attempt_of`` reads."""
    return f"{task}/{number}"


def task_args(tasks: Iterable[tuple[TaskId, int]]) -> list[Arg]:
    """Attempts, given as (task, number), one after the other as a script takes them."""
    return [part for task, number in tasks for part in (str(task), number)]


@dataclass(frozen=True, slots=True)
class TaskState:
    """The state of one task as Redis has it."""

    state: str  # waiting, queued, running, done
    attempt: int
    node: str
    batch: str
    worker: str
    since_ms: int

    @classmethod
    def parse(cls, text: bytes) -> TaskState:
        state, attempt, node, batch, worker, since = text.decode().split(" ")
        return cls(state, int(attempt), node, batch, worker, int(since))


class Slot(NamedTuple):
    """The name of a slot: the worker that keeps it."""

    node: str
    worker: str

    @classmethod
    def parse(cls, member: bytes) -> Slot:
        """Raises ``ValueError`` for what is no slot. A worker of an older version may have blanks in it."""
        node, _, worker = member.decode().partition(" ")
        if not NODE_NAME.fullmatch(node) or not worker:
            raise ValueError("it takes a node and a worker")
        return cls(node, worker)


class Lease(NamedTuple):
    """The name of a lease: the attempt that lives by it."""

    job: str
    task: TaskId
    attempt: int

    @property
    def member(self) -> str:
        return f"{self.job} {self.task} {self.attempt}"

    @classmethod
    def parse(cls, member: bytes) -> Lease:
        job, task, attempt = member.decode().split(" ")
        return cls(job, TaskId.parse(task), int(attempt))
