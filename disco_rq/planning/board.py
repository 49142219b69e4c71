"""What is known of all active jobs and nodes, and of the attempts that are under way. Pure: time is given.

The master tells it what happened; the planner reads it, and notes there what it promises.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from disco_rq.model import TaskId, TaskKind
from disco_rq.planning.jobstate import BATCH_S, JobState
from disco_rq.planning.labels import Labels, fits
from disco_rq.planning.nodestate import NodeState
from disco_rq.planning.owners import Owners, Portions

BACKOFF_S = 0.5
BACKOFF_MAX_S = 10.0
_NONE: Mapping[str, str] = MappingProxyType({})
_NO_LABELS: Mapping[str, Labels] = MappingProxyType({})


@dataclass(slots=True)
class BatchState:
    """Attempts that were assigned together, as far as they are under way."""

    job: str
    node: str
    since_s: float
    is_claimed: bool = False  # its worker has it, that much is known: the leases tell how it fares
    open_tasks: set[TaskId] = field(default_factory=set)


class Board:
    """The jobs, the nodes, and the batches under way."""

    def __init__(self, portions: Portions | None = None) -> None:
        self.owners = Owners(portions)
        self.jobs: dict[str, JobState] = {}
        self.nodes: dict[str, NodeState] = {}
        self.batches: dict[str, BatchState] = {}
        self._live: dict[tuple[str, TaskId], dict[int, str]] = {}  # attempts under way -> their batches

    def add_job(self, job: JobState) -> None:
        """A job that has not been planned before: every task of it waits; of its maps
        those of its pilot, if it is in that.
        """
        self.jobs[job.name] = job
        for index in range(job.maps.total) if job.pilot is None else sorted(job.pilot):
            job.wait(TaskId("map", index))
        for index in range(job.reduces.total):
            job.wait(TaskId("reduce", index))

    def remove_job(self, name: str) -> None:
        """The job has ended."""
        job = self.jobs.pop(name, None)
        if job is None:
            return
        for batch in [batch for batch in self.batches.values() if batch.job == name]:
            for task in list(batch.open_tasks):
                for attempt in self.live(name, task):
                    self._close(job, task, attempt)

    def set_nodes(
        self,
        slots: Mapping[str, int],
        blacklist: Iterable[str],
        draining: Iterable[str] = (),
        closed: Mapping[str, str] = _NONE,
        labels: Mapping[str, Labels] = _NO_LABELS,
    ) -> None:
        """The nodes that are alive now, with the number of their workers."""
        blacklisted, drained = set(blacklist), set(draining)
        for name in [name for name in self.nodes if name not in slots]:
            del self.nodes[name]
            self.node_changed(name)
        for name, number in slots.items():
            node = self.nodes.get(name)
            if node is None:
                batches = sum(batch.node == name for batch in self.batches.values())
                node = self.nodes[name] = NodeState(number, batches=batches)
            node.slots, node.blacklisted, node.draining = number, name in blacklisted, name in drained
            node.closed = closed.get(name, "")
            node.labels = labels.get(name, {})

    def task_assigned(
        self, name: str, task: TaskId, attempt: int, *, node: str, batch_id: str, now_s: float
    ) -> None:
        """An attempt is under way, in the queue or in a worker of the node."""
        job = self.jobs[name]
        job.phase(task).pending.discard(task.index)
        self.number_taken(name, task, attempt)
        if batch_id not in self.batches:
            self.batches[batch_id] = BatchState(name, node, now_s)
            job.batches += 1
            self.owners.add(job.owner)
            if node in self.nodes:
                self.nodes[node].batches += 1
        self.batches[batch_id].open_tasks.add(task)
        self._live.setdefault((name, task), {})[attempt] = batch_id
        job.running += 1

    def number_taken(self, name: str, task: TaskId, attempt: int) -> None:
        """The number is not used again."""
        attempts = self.jobs[name].attempts
        attempts[task] = max(attempt, attempts.get(task, 0))

    def measured(self, name: str, task: TaskId, duration_s: float) -> None:
        """A task that is done took so long."""
        self.jobs[name].phase(task).measure(duration_s)

    def live(self, name: str, task: TaskId) -> dict[int, str]:
        """The attempts of the task that are under way, with their batches: two while it has a copy."""
        return dict(self._live.get((name, task), ()))

    def batch_claimed(self, batch_id: str) -> None:
        """A worker has the batch, or had it."""
        self.batches[batch_id].is_claimed = True

    def task_done(
        self,
        name: str,
        task: TaskId,
        attempt: int,
        *,
        now_s: float,
        duration_s: float | None = None,
        node: str = "",
    ) -> dict[int, str]:
        """An attempt was committed. Returns those that it has overtaken, with their batches. ``node``: where,
        if no batch of it is known.
        """
        job, live = self.jobs.get(name), self.live(name, task)
        if job is None or (attempt not in live and attempt < job.attempts.get(task, 0)):
            return {}
        phase = job.phase(task)
        phase.pending.discard(task.index)
        phase.delayed.pop(task.index, None)
        if task.index not in phase.done:
            phase.done[task.index] = attempt
            if duration_s is not None:
                phase.measure(duration_s)
        self.number_taken(name, task, attempt)
        if task.phase == "map" and task.index in job.checked:
            made_on = self.batches[live[attempt]].node if attempt in live else node
            job.check_due(task.index, made_on, is_live=(name, TaskId("check", task.index)) in self._live)
        for number, batch_id in live.items():
            batch = self.batches[batch_id]
            took_s = duration_s if number == attempt else now_s - batch.since_s
            if batch.node in self.nodes and took_s is not None and phase.median_s is not None:
                self.nodes[batch.node].paced(took_s / max(phase.median_s, BATCH_S), now_s)
            self._close(job, task, number)
        live.pop(attempt, None)
        return live

    def task_failed(self, name: str, task: TaskId, attempt: int, node: str, now_s: float) -> None:
        """An attempt ended without a result and its task waits again, unless its other attempt goes on.
        ``node`` empty: nobody's fault, no exclusion.
        """
        job, live = self.jobs.get(name), self.live(name, task)
        if job is None or attempt not in live:
            return
        self._close(job, task, attempt)
        if node:
            job.excluded.setdefault(task, {})[node] = now_s
        if len(live) == 1:
            self._retry(job, task, node, now_s)

    def task_unclaimed(self, name: str, task: TaskId, attempt: int) -> None:
        """Its batch takes longer than was thought: it waits for another slot, with the same number."""
        if name in self.jobs and attempt in self.live(name, task):
            self._close(self.jobs[name], task, attempt)
            self.jobs[name].attempts[task] = attempt - 1
            self.jobs[name].wait(task)

    def task_refused(self, name: str, task: TaskId, attempt: int, node: str, why: str) -> None:
        """The node cannot run this job, by no fault of either: its task waits again, for other nodes."""
        if name in self.jobs:
            self.jobs[name].refused[node] = why
            self.task_failed(name, task, attempt, "", 0.0)

    def node_changed(self, node: str) -> None:
        """The node is not what it was: it may run now what it refused."""
        for job in self.jobs.values():
            job.refused.pop(node, None)

    def output_lost(self, name: str, task: TaskId, attempt: int, node: str, now_s: float) -> None:
        """The committed output of a map cannot be read any more: the map waits again, not on that node; any
        may have it where ``node`` is empty.
        """
        job = self.jobs.get(name)
        if job is None or job.maps.done.get(task.index) != attempt:
            return
        del job.maps.done[task.index]
        if node:
            job.excluded.setdefault(task, {})[node] = now_s
        self._retry(job, task, node, now_s)

    def wants_sizes(self, name: str) -> bool:
        """Whether the maps of the job are through, and it was not told how much each reduce has to do."""
        job = self.jobs.get(name)
        if job is None or job.reduces.sizes is not None or not job.reduces.pending:
            return False
        return job.nr_maps > 0 and job.maps.complete

    def sizes_known(self, name: str, sizes: Mapping[int, int]) -> None:
        """Partition -> bytes that its reduce will read (none: 0): the one with most to do goes first."""
        phase = self.jobs[name].reduces
        phase.sizes = sizes
        phase.waiting = deque(sorted(phase.waiting, key=lambda index: -sizes.get(index, 0)))

    def candidates(self, job: JobState, task: TaskId) -> list[str]:
        """The live nodes that may take the task, whether they failed it or not."""
        return [name for name, state in self.nodes.items() if state.is_open and allows(self, job, task, name)]

    def _retry(self, job: JobState, task: TaskId, node: str, now_s: float) -> None:
        """Let a task wait again: at once where another node may take it, else after a backoff."""
        excluded = job.excluded.get(task, {})
        if not node or any(other not in excluded for other in self.candidates(job, task)):
            job.wait(task, first=True)
        else:
            job.phase(task).delayed[task.index] = now_s + _backoff_s(job.name, task, job.attempts[task])

    def _close(self, job: JobState, task: TaskId, attempt: int) -> None:
        live = self._live[job.name, task]
        batch_id = live.pop(attempt)
        if not live:
            del self._live[job.name, task]
        job.running -= 1
        batch = self.batches[batch_id]
        batch.open_tasks.discard(task)
        if not batch.open_tasks:
            del self.batches[batch_id]
            job.batches -= 1
            self.owners.remove(job.owner)
            if batch.node in self.nodes:
                self.nodes[batch.node].batches -= 1


def allows(board: Board, job: JobState, task: TaskId, node: str) -> bool:
    """Whether the task may run there: what the node itself said, what the task needs, and ``force_local`` and
    ``force_remote``, which mean maps whose input is on a node.
    """
    if node in job.refused or not has_needs(board, job, task.phase, node):
        return False
    home = None if task.phase == "reduce" else job.preferred.get(task.index)
    return home is None or not ((job.force_local and home != node) or (job.force_remote and home == node))


def has_needs(board: Board, job: JobState, phase: TaskKind, node: str) -> bool:
    """Whether the node has the labels that the job's tasks of a phase need; a check, those of its map."""
    needs = job.needs.get("map" if phase == "check" else phase)
    return not needs or (node in board.nodes and fits(board.nodes[node].labels, needs))


def _backoff_s(job: str, task: TaskId, attempt: int) -> float:
    """Doubling with each attempt, with jitter that is the same for the same attempt."""
    jitter = random.Random(f"{job} {task} {attempt}").uniform(0.75, 1.25)
    return float(min(BACKOFF_S * 2 ** (attempt - 1), BACKOFF_MAX_S) * jitter)
