"""The planner: which task runs next, where. Pure: it is told what happened, and answers with assignments.

No I/O and no clock: ``now_s`` is given. The master feeds it and carries its answers out; a test can play any
story. The rules: a job with a higher priority goes first, among equals the one with the fewest batches under
way, then the one that waited longest for its turn; of its reduces the one with most to do goes first; a task
goes to the node that has its input if it can, but not to a node that failed it, unless every live node did; a
node is promised as many batches as it has slots, and one ahead while tasks are short, and no other job's turn
it is.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from types import MappingProxyType

from disco_rq.model import Phase as PhaseName
from disco_rq.model import TaskId
from disco_rq.planning.assignment import Assignment
from disco_rq.planning.jobstate import BATCH_S, JobState, Phase
from disco_rq.planning.nodestate import NodeState
from disco_rq.planning.turns import Turn, Turns

BACKOFF_S = 0.5
BACKOFF_MAX_S = 10.0
_NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(slots=True)
class Batch:
    """Attempts that were assigned together."""

    job: str
    node: str
    since_s: float
    is_claimed: bool = False  # its worker has it, that much is known: the leases tell how it fares
    open_tasks: set[TaskId] = field(default_factory=set)


class Planner:
    """The state of all active jobs and nodes, and the next assignments."""

    def __init__(self, tag: str = "0") -> None:
        """``tag``: letters and digits that tell its batches from those of other planners."""
        self.tag = tag
        self.jobs: dict[str, JobState] = {}
        self.nodes: dict[str, NodeState] = {}
        self.batches: dict[str, Batch] = {}
        self._live: dict[tuple[str, TaskId], dict[int, str]] = {}  # attempts under way -> their batches
        self._turn = 0
        self._now_s = 0.0  # of the last plan
        self._fast = 0  # slots that are not slow, then

    # -- what happened

    def add_job(self, job: JobState) -> None:
        """A job that has not been planned before: every task of it waits."""
        self.jobs[job.name] = job
        for index in range(job.maps.total):
            self._wait(job, TaskId("map", index))
        for index in range(job.reduces.total):
            self._wait(job, TaskId("reduce", index))

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

    def task_assigned(
        self, name: str, task: TaskId, attempt: int, *, node: str, batch_id: str, now_s: float
    ) -> None:
        """An attempt is under way, in the queue or in a worker of the node."""
        job = self.jobs[name]
        job.phase(task).pending.discard(task.index)
        self.number_taken(name, task, attempt)
        if batch_id not in self.batches:
            self.batches[batch_id] = Batch(name, node, now_s)
            job.batches += 1
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

    def task_done(
        self, name: str, task: TaskId, attempt: int, duration_s: float | None = None
    ) -> dict[int, str]:
        """An attempt was committed. Returns those that it has overtaken, with their batches."""
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
        for number, batch_id in live.items():
            batch = self.batches[batch_id]
            took_s = duration_s if number == attempt else self._now_s - batch.since_s
            if batch.node in self.nodes and took_s is not None and phase.median_s is not None:
                self.nodes[batch.node].paced(took_s / max(phase.median_s, BATCH_S), self._now_s)
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
        """The committed output of a map cannot be read any more: the map waits again, not on that node."""
        job = self.jobs.get(name)
        if job is None or job.maps.done.get(task.index) != attempt:
            return
        del job.maps.done[task.index]
        job.excluded.setdefault(task, {})[node] = now_s
        self._retry(job, task, node, now_s)

    def wants_sizes(self, name: str) -> bool:
        """Whether the maps of the job are through, and it was not told how much each reduce has to do."""
        job = self.jobs.get(name)
        return job is not None and job.reduces.sizes is None and job.nr_maps > 0 and job.maps.complete

    def sizes_known(self, name: str, sizes: Mapping[int, int]) -> None:
        """Partition -> bytes that its reduce will read (none: 0): the one with most to do goes first."""
        phase = self.jobs[name].reduces
        phase.sizes = sizes
        phase.waiting = deque(sorted(phase.waiting, key=lambda index: -sizes.get(index, 0)))

    # -- what to do

    def plan(self, now_s: float) -> list[Assignment]:
        """Assignments that fill the free slots. They count as under way from here on."""
        for job in self.jobs.values():
            if job.maps.delayed or job.reduces.delayed:
                self._wake(job, now_s)
        nodes = {name: node for name, node in self.nodes.items() if node.is_open}
        # What a job is due: where many take turns, each of their batches costs a slot a fresh process.
        rivals = sum(job.turn_now() is not None for job in self.jobs.values())
        due = sum(node.slots for node in nodes.values()) / max(rivals, 1)
        self._fast = sum(node.slots for node in nodes.values() if node.slowness(now_s) == 1)
        self._now_s = now_s
        answer = []
        # The emptiest node first; when each has its slots full, one batch ahead, of tasks that are short.
        for ahead in (False, True):
            loads = [
                (node.batches / node.slots, name)
                for name, node in nodes.items()
                if (node.batches == node.slots if ahead else node.batches < node.slots)
            ]
            heapify(loads)
            turns, waiting = self._turns(ahead=ahead) if loads else (Turns(()), [])
            while loads and turns:
                _, name = heappop(loads)
                # Who waits for the next free slot there, in its turn, must find it free.
                before = next((turn for turn in waiting if self.jobs[turn[-1]].takes(name)), None)
                assignment = self._next_batch(name, turns, due, before)
                if assignment is None:
                    continue
                self._promise(assignment, turns, now_s)
                answer.append(assignment)
                node = nodes[name]
                if node.batches < node.slots:
                    heappush(loads, (node.batches / node.slots, name))
        return answer

    # -- inside

    def _turns(self, *, ahead: bool) -> tuple[Turns, list[Turn]]:
        """The turns of the jobs that may have a batch, and those of the jobs that may not go ahead."""
        now: list[Turn] = []
        waiting: list[Turn] = []
        for job in self.jobs.values():
            if (turn := job.turn_now()) is not None:
                (waiting if ahead and not job.open_phase()[1].is_short else now).append(turn)
        return Turns(now), sorted(waiting)

    def _next_batch(self, node: str, turns: Turns, due: float, before: Turn | None) -> Assignment | None:
        """The next batch for a node, of the first job in turn that has something for it."""

        def offer(name: str) -> Assignment | None:
            job = self.jobs[name]
            phase_name, phase = job.open_phase()
            if node in job.refused or self._others_are_sooner(job, phase, node):
                return None
            tasks = self._pick(job, phase_name, phase, node, phase.batch_size(due))
            attempts = tuple((task, job.attempts.get(task, 0) + 1) for task in tasks)
            return Assignment(name, node, attempts, self.tag) if attempts else None

        return turns.take(offer, before)

    def _promise(self, assignment: Assignment, turns: Turns, now_s: float) -> None:
        """Note an assignment; its job's next turn comes after the others'."""
        batch = assignment.batch
        for task, attempt in assignment.tasks:
            self.task_assigned(
                assignment.job, task, attempt, node=assignment.node, batch_id=batch, now_s=now_s
            )
        self._turn += 1
        job = self.jobs[assignment.job]
        job.turn = self._turn
        if (turn := job.turn_now()) is not None:
            turns.put(turn)

    def _others_are_sooner(self, job: JobState, phase: Phase, node: str) -> bool:
        """Whether the node is slow, and others, which work for the job now, will have done what waits before
        it has done a task.
        """
        slowness = self.nodes[node].slowness(self._now_s)
        # While it does one, the others have room for so many.
        room = slowness * self._fast
        if slowness == 1 or job.force_local or job.force_remote or len(phase.pending) >= room:
            return False
        nodes = {batch.node for batch in self.batches.values() if batch.job == job.name}
        return any(name in self.nodes and self.nodes[name].slowness(self._now_s) == 1 for name in nodes)

    def _pick(self, job: JobState, phase_name: PhaseName, phase: Phase, node: str, size: int) -> list[TaskId]:
        """Up to ``size`` waiting tasks that may run on the node, those with their input there first."""
        picked: dict[int, TaskId] = {}
        for queue in (phase.local.get(node), phase.waiting):
            if queue is None:
                continue
            skipped: list[int] = []
            while queue and len(picked) < size:
                index = queue.popleft()
                task = TaskId(phase_name, index)
                if index not in phase.pending or index in picked:
                    continue  # a stale entry: taken by way of the other queue, or done
                if self._may_run(job, task, node):
                    picked[index] = task
                else:
                    skipped.append(index)
            queue.extendleft(reversed(skipped))
        return list(picked.values())

    def _may_run(self, job: JobState, task: TaskId, node: str) -> bool:
        if not allows(job, task, node):
            return False
        excluded = job.excluded.get(task)
        if not excluded or node not in excluded:
            return True
        others = self._candidates(job, task)
        if any(name not in excluded for name in others):
            return False
        return node == min(others, key=lambda name: (excluded[name], name))

    def _candidates(self, job: JobState, task: TaskId) -> list[str]:
        """The live nodes that may take the task, whether they failed it or not."""
        return [name for name, state in self.nodes.items() if state.is_open and allows(job, task, name)]

    def _retry(self, job: JobState, task: TaskId, node: str, now_s: float) -> None:
        """Let a task wait again: at once where another node may take it, else after a backoff."""
        excluded = job.excluded.get(task, {})
        if not node or any(other not in excluded for other in self._candidates(job, task)):
            self._wait(job, task, first=True)
        else:
            job.phase(task).delayed[task.index] = now_s + _backoff_s(job.name, task, job.attempts[task])

    def _wait(self, job: JobState, task: TaskId, *, first: bool = False) -> None:
        phase = job.phase(task)
        phase.pending.add(task.index)
        home = job.preferred.get(task.index) if task.phase == "map" else None
        # What nobody else may take is not laid out for others, who would look at all of it in vain.
        queues = [] if home is not None and job.force_local else [phase.waiting]
        if home is not None and not job.force_remote:
            queues.append(phase.local.setdefault(home, deque()))
        for queue in queues:
            if first:
                queue.appendleft(task.index)
            else:
                queue.append(task.index)

    def _wake(self, job: JobState, now_s: float) -> None:
        """Tasks whose backoff is over wait like any other."""
        phase_name, phase = job.open_phase()
        for index in [index for index, not_before in phase.delayed.items() if not_before <= now_s]:
            del phase.delayed[index]
            self._wait(job, TaskId(phase_name, index), first=True)

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
            if batch.node in self.nodes:
                self.nodes[batch.node].batches -= 1


def allows(job: JobState, task: TaskId, node: str) -> bool:
    """What the node itself said, and ``force_local`` and ``force_remote``, which mean maps whose input is on
    a node.
    """
    if node in job.refused:
        return False
    home = job.preferred.get(task.index) if task.phase == "map" else None
    return home is None or not ((job.force_local and home != node) or (job.force_remote and home == node))


def _backoff_s(job: str, task: TaskId, attempt: int) -> float:
    """Doubling with each attempt, with jitter that is the same for the same attempt."""
    jitter = random.Random(f"{job} {task} {attempt}").uniform(0.75, 1.25)
    return float(min(BACKOFF_S * 2 ** (attempt - 1), BACKOFF_MAX_S) * jitter)
