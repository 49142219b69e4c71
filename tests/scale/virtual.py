"""The planner by itself with thousands of slots, in virtual time: no Redis, no process, no clock.

A node is a number of slots and a queue; a task is a time that it takes. What happens is told to the planner
as the master would: all that ended within ``TICK_S`` at once, the dead when their leases have run out.
"""

from __future__ import annotations

import heapq
import random
import statistics
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from disco_rq.model import LEASE_S, TaskId
from disco_rq.planning.assignment import Assignment
from disco_rq.planning.board import Board
from disco_rq.planning.jobstate import JobState
from disco_rq.planning.owners import Portions
from disco_rq.planning.planner import Planner

TICK_S = 0.01
"""For so long events gather while a master plans and enqueues."""
COUNT_S = 1.0
"""How often the nodes are counted, and the shares of the jobs looked at."""
WARM_S = 5.0
"""Before that not every slot has had its first task."""
AWAY_S = 60.0
"""A node that died is back after so long."""


@dataclass(frozen=True, slots=True)
class Story:
    """What is to be played."""

    nodes: int = 200
    slots: int = 10  # of each node
    jobs: int = 200
    tasks: int = 1_000_000  # of all jobs
    mean_s: float = 5.0  # of a task: lognormal, and each hundredth takes ten times as long
    owners: int = 0  # of the jobs, each with a share, 1 to 3, and a cap; 0: nobody has one
    deaths: int = 100  # of nodes, in the time that the whole takes at least
    seed: int = 1


@dataclass(slots=True)
class Outcome:
    """How it went."""

    slots: int
    tasks: int = 0  # that ended, each once
    lost: int = 0  # attempts that died with their nodes
    assignments: int = 0
    virtual_s: float = 0.0
    busy_s: float = 0.0  # of all slots, while tasks waited
    alive_s: float = 0.0
    shares: list[float] = field(default_factory=list)  # of each job: its mean part of what it was due
    planner_s: float = 0.0  # CPU time within the planner

    @property
    def utilisation(self) -> float:
        """The part of the living slots' time in which they had a task, as long as there were tasks enough."""
        return self.busy_s / self.alive_s

    @property
    def least_share(self) -> float:
        """Of the job that fared worst: 1 is an equal part of all slots."""
        return min(self.shares)

    @property
    def us_per_assignment(self) -> float:
        return self.planner_s / max(self.assignments, 1) * 1e6

    def __str__(self) -> str:
        return (
            f"{self.slots:,} slots, {self.tasks:,} tasks, {self.lost:,} attempts lost, "
            f"{self.virtual_s:,.0f} s: utilisation {self.utilisation:.1%}, "
            f"least share {self.least_share:.2f} (median {statistics.median(self.shares):.2f}), "
            f"{self.us_per_assignment:.0f} us per assignment"
        )


def _portions(story: Story) -> Portions:
    owners = [f"owner{i}" for i in range(story.owners)]
    most = dict.fromkeys(owners, max(story.nodes * story.slots // 2, 1))
    return Portions({owner: 1 + i % 3 for i, owner in enumerate(owners)}, most)


@dataclass(slots=True)
class Node:
    free: int
    life: int = 0  # how often it has died
    missed: bool = False  # it is dead, and that is known
    queue: deque[Assignment] = field(default_factory=deque)
    running: dict[str, Assignment] = field(default_factory=dict)


class Play:
    """One story, played to its end."""

    def __init__(self, story: Story, planner: Planner | None = None) -> None:
        self._story = story
        self._random = random.Random(story.seed)
        self._planner = planner or Planner(Board(_portions(story)))
        self._nodes = {f"node{i:03}": Node(story.slots) for i in range(story.nodes)}
        self._events: list[tuple[float, int, Callable[..., None], tuple[object, ...]]] = []
        self._serial = 0
        self._now_s = 0.0
        self._left: dict[str, int] = {}  # job -> its tasks that have not ended
        self._due: dict[str, list[float]] = {}  # job -> its part of what it was due, at each count
        self._outcome = Outcome(story.nodes * story.slots)
        self.assigned: list[Assignment] = []

    def run(self) -> Outcome:
        self._begin()
        while self._left:
            self._now_s = self._events[0][0] + TICK_S
            while self._events and self._events[0][0] <= self._now_s:
                at_s, _, happen, told = heapq.heappop(self._events)
                happen(at_s, *told)
            began = time.thread_time()
            assignments = self._planner.plan(self._now_s)
            self._outcome.planner_s += time.thread_time() - began
            self.assigned += assignments
            for assignment in assignments:
                node = self._nodes[assignment.node]
                node.queue.append(assignment)
                self._start(assignment.node, node, self._now_s)
        self._outcome.virtual_s = self._now_s
        self._outcome.assignments = len(self.assigned)
        self._outcome.shares = [statistics.fmean(due) for due in self._due.values() if due]
        return self._outcome

    def _begin(self) -> None:
        story = self._story
        sizes = [self._random.lognormvariate(0, 0.5) for _ in range(story.jobs)]
        for i, size in enumerate(sizes):
            name = f"job{i}"
            self._left[name] = max(1, round(story.tasks * size / sum(sizes)))
            owner = f"owner{i % story.owners}" if story.owners else ""
            self._planner.board.add_job(JobState(name, self._left[name], 0, owner=owner, submitted_ms=i))
        least_s = story.tasks * story.mean_s / (story.nodes * story.slots)
        for _ in range(story.deaths):
            self._later(self._random.uniform(0, least_s), self._death, self._random.choice(list(self._nodes)))
        self._count_nodes()
        self._count(0.0)

    def _later(self, at_s: float, happen: Callable[..., None], *told: object) -> None:
        self._serial += 1
        heapq.heappush(self._events, (at_s, self._serial, happen, told))

    def _task_s(self) -> float:
        straggles = 10.0 if self._random.random() < 0.01 else 1.0
        return self._random.lognormvariate(-0.125, 0.5) * self._story.mean_s * straggles / 1.09

    # -- what happens

    def _start(self, name: str, node: Node, at_s: float) -> None:
        while node.free and node.queue:
            batch = node.queue.popleft()
            node.free -= 1
            node.running[batch.batch_id] = batch
            ends_s = at_s
            for i, (task, attempt) in enumerate(batch.tasks):
                took_s = self._task_s()
                ends_s += took_s
                last = i == len(batch.tasks) - 1
                self._later(ends_s, self._done, name, node.life, batch, task, attempt, took_s, last)

    def _done(
        self,
        at_s: float,
        name: str,
        life: int,
        batch: Assignment,
        task: TaskId,
        attempt: int,
        took_s: float,
        last: bool,
    ) -> None:
        node = self._nodes[name]
        if node.life != life:
            return  # it died before
        began = time.thread_time()
        self._planner.board.task_done(batch.job, task, attempt, now_s=self._now_s, duration_s=took_s)
        self._outcome.planner_s += time.thread_time() - began
        self._outcome.tasks += 1
        self._left[batch.job] -= 1
        if self._left[batch.job] == 0:
            del self._left[batch.job]
            self._planner.board.remove_job(batch.job)
        if last:
            del node.running[batch.batch_id]
            node.free += 1
            self._start(name, node, at_s)

    def _death(self, at_s: float, name: str) -> None:
        node = self._nodes[name]
        if node.free or node.running:
            node.free, node.life = 0, node.life + 1
            self._later(at_s + LEASE_S, self._missed, name)

    def _missed(self, at_s: float, name: str) -> None:
        """Its leases have run out: what it ran has failed, what it had in its queue is handed back."""
        node = self._nodes[name]
        node.missed = True
        for batch in [*node.running.values(), *node.queue]:
            guilty = batch.node if batch.batch_id in node.running else ""
            for task, attempt in batch.tasks:
                job = self._planner.board.jobs.get(batch.job)
                if job is not None and task.index not in job.maps.done:
                    self._outcome.lost += 1
                    self._planner.board.task_failed(batch.job, task, attempt, guilty, at_s)
        node.running.clear()
        node.queue.clear()
        self._count_nodes()
        self._later(at_s + AWAY_S, self._back, name)

    def _back(self, _: float, name: str) -> None:
        node = self._nodes[name]
        node.free, node.missed = self._story.slots, False
        self._count_nodes()

    def _count_nodes(self) -> None:
        alive = {name: self._story.slots for name, node in self._nodes.items() if not node.missed}
        self._planner.board.set_nodes(alive, [])

    def _count(self, at_s: float) -> None:
        """Look at slots and shares."""
        slots = self._story.slots * sum(node.free > 0 or bool(node.running) for node in self._nodes.values())
        running = Counter(batch.job for node in self._nodes.values() for batch in node.running.values())
        waiting = [name for name, job in self._planner.board.jobs.items() if job.maps.pending]
        if (
            at_s > WARM_S
            and sum(len(self._planner.board.jobs[name].maps.pending) for name in waiting) > 2 * slots
        ):
            self._outcome.busy_s += COUNT_S * sum(running.values())
            self._outcome.alive_s += COUNT_S * slots
            for name in waiting:
                due = slots / len(self._planner.board.jobs)
                self._due.setdefault(name, []).append(min(running[name] / due, 1.0))
        if self._left:
            self._later(at_s + COUNT_S, self._count)


def row(scale: float) -> Iterator[str]:
    """The planner by itself, in virtual time: 2,000 slots, 200 jobs, deaths."""
    tasks = round(1_000_000 * scale)
    yield str(Play(Story(tasks=tasks)).run())
    yield "one job: " + str(Play(Story(tasks=tasks // 4, jobs=1)).run())
