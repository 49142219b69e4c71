"""How Redis has the state of a task, and the lease of an attempt: the one place that reads these words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from disco_rq.model import NODE_NAME


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
    task: str
    attempt: int

    @property
    def member(self) -> str:
        return f"{self.job} {self.task} {self.attempt}"

    @classmethod
    def parse(cls, member: bytes) -> Lease:
        job, task, attempt = member.decode().split(" ")
        return cls(job, task, int(attempt))
