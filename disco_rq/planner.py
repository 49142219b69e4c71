"""The planner: which task runs next, where. Pure: it is told what happened, and answers with assignments.

No I/O and no clock: ``now_s`` is given. The master feeds it and carries its answers out; a test can play any
story. The rules: a job with a higher priority goes first, among equals the one with the fewest batches under
way, then the one that waited longest for its turn; a task goes to the node that has its input if it can, but
not to a node that failed it, unless every live node did; a node is promised as many batches as it has slots,
and one ahead while tasks are short, and no other job's turn it is.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from types import MappingProxyType

from disco_rq.assignment import Assignment
from disco_rq.model import Phase as PhaseName
from disco_rq.model import TaskId
from disco_rq.nodestate import NodeState
from disco_rq.turns import Turn, Turns

BATCH_S = 0.1
"""The working time that one batch of small tasks aims at."""
BATCH_MAX = 150
"""Even a task that does nothing takes half a millisecond of its slot, which no duration tells."""
SHARE_S = 0.005
"""A batch costs some 2 ms of its own: less work than this is not spread over the slots."""
AHEAD_BELOW_S = 1.0
"""Tasks shorter than this are worth having one batch ahead in a node's queue."""
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


@dataclass(slots=True)
class Phase:
    """The tasks of one phase of a job."""

    waiting: deque[int] = field(default_factory=deque)
    delayed: dict[int, float] = field(default_factory=dict)  # index -> when it waits again, after its backoff
    local: dict[str, deque[int]] = field(default_factory=dict)  # node -> its waiting tasks, also in waiting
    pending: set[int] = field(default_factory=set)  # what really waits; the deques may hold stale entries
    done: set[int] = field(default_factory=set)
    total: int = 0
    mean_s: float | None = None  # running mean of a task's duration

    @property
    def complete(self) -> bool:
        return len(self.done) == self.total

    @property
    def is_short(self) -> bool:
        """Whether its tasks are known to be worth having one batch ahead."""
        return self.mean_s is not None and self.mean_s <= AHEAD_BELOW_S

    def measure(self, duration_s: float) -> None:
        self.mean_s = duration_s if self.mean_s is None else 0.8 * self.mean_s + 0.2 * duration_s

    def batch_size(self, slots: float) -> int:
        """How many of these tasks make a batch: about ``BATCH_S`` of work, and no more than leaves the slots
        that the job is due busy.
        """
        if self.mean_s is None:
            return 1
        by_time = BATCH_S / max(self.mean_s, 1e-6)
        by_share = len(self.pending) / (2 * slots if slots > 1 else 1)
        by_share = max(by_share, by_time * SHARE_S / BATCH_S)
        return int(max(1, min(by_time, by_share, BATCH_MAX)))


@dataclass(slots=True)
class JobState:
    """A job as the planner sees it."""

    name: str
    nr_maps: int
    nr_reduces: int  # reduce tasks
    priority: int = 0
    submitted_ms: int = 0
    paused: bool = False
    max_cores: int | None = None
    force_local: bool = False
    force_remote: bool = False
    preferred: Mapping[int, str] = field(default_factory=dict)  # map index -> node that has its input
    attempts: dict[TaskId, int] = field(default_factory=dict)  # last attempt of each task that was tried
    excluded: dict[TaskId, dict[str, float]] = field(default_factory=dict)  # task -> node -> when it failed
    refused: dict[str, str] = field(default_factory=dict)  # node that cannot run this job -> why
    batches: int = 0
    running: int = 0  # attempts under way
    turn: int = 0  # when it was last assigned a batch, in turns of the planner
    maps: Phase = field(default_factory=Phase)
    reduces: Phase = field(default_factory=Phase)

    def __post_init__(self) -> None:
        self.maps.total, self.reduces.total = self.nr_maps, self.nr_reduces

    def phase(self, task: TaskId) -> Phase:
        return self.maps if task.phase == "map" else self.reduces

    def open_phase(self) -> tuple[PhaseName, Phase]:
        """The phase whose tasks may run now: the reduces wait for every map."""
        return ("map", self.maps) if not self.maps.complete else ("reduce", self.reduces)

    def turn_now(self) -> Turn | None:
        """Its place among the jobs that may have a batch; None if it may not."""
        busy = self.max_cores is not None and self.batches >= self.max_cores
        if self.paused or busy or not (self.reduces if self.maps.complete else self.maps).pending:
            return None
        return -self.priority, self.batches, self.turn, self.submitted_ms, self.name

    def takes(self, node: str) -> bool:
        """Whether it may have something for a slot of the node that becomes free."""
        is_elsewhere = self.force_local and not self.maps.complete and not self.maps.local.get(node)
        return node not in self.refused and not is_elsewhere


class Planner:
    """The state of all active jobs and nodes, and the next assignments."""

    def __init__(self, tag: str = "0") -> None:
        """``tag``: letters and digits that tell its batches from those of other planners."""
        self._tag = tag
        self.jobs: dict[str, JobState] = {}
        self.nodes: dict[str, NodeState] = {}
        self.batches: dict[str, Batch] = {}
        self._batch_of: dict[tuple[str, TaskId], str] = {}
        self._turn = 0

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
        for batch_id in [batch_id for batch_id, batch in self.batches.items() if batch.job == name]:
            for task in list(self.batches[batch_id].open_tasks):
                self._close(job, task)

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
        job.attempts[task] = attempt
        if batch_id not in self.batches:
            self.batches[batch_id] = Batch(name, node, now_s)
            job.batches += 1
            if node in self.nodes:
                self.nodes[node].batches += 1
        self.batches[batch_id].open_tasks.add(task)
        self._batch_of[name, task] = batch_id
        job.running += 1

    def task_done(self, name: str, task: TaskId, attempt: int, duration_s: float | None = None) -> None:
        """An attempt was committed."""
        job = self.jobs.get(name)
        if job is None or attempt < job.attempts.get(task, 0):
            return
        phase = job.phase(task)
        phase.pending.discard(task.index)
        phase.delayed.pop(task.index, None)
        if task.index not in phase.done:
            phase.done.add(task.index)
            if duration_s is not None:
                phase.measure(duration_s)
        job.attempts[task] = attempt
        self._close(job, task)

    def task_failed(self, name: str, task: TaskId, attempt: int, node: str, now_s: float) -> None:
        """An attempt ended without a result and its task waits again. ``node`` empty: nobody's fault, no
        exclusion.
        """
        job = self.jobs.get(name)
        if job is None or attempt < job.attempts.get(task, 0):
            return
        phase = job.phase(task)
        waits = task.index in phase.pending or task.index in phase.delayed
        if task.index in phase.done or (waits and attempt == job.attempts.get(task, 0)):
            return
        job.attempts[task] = attempt
        self._close(job, task)
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
        if job is None or task.index not in job.maps.done or attempt != job.attempts.get(task):
            return
        job.maps.done.discard(task.index)
        self._retry(job, task, node, now_s)

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

    def stranded(self) -> dict[str, str]:
        """The jobs that cannot go on with the nodes there are, each with what it waits for."""
        usable = {name for name, node in self.nodes.items() if node.is_open}
        if not self.nodes:
            return dict.fromkeys(self.jobs, "No node is alive: the job waits for one")
        if not usable:
            why = "; ".join(f"{name}: {node.why_closed}" for name, node in sorted(self.nodes.items())[:5])
            return dict.fromkeys(self.jobs, f"No node takes tasks ({why}): the job waits for one")
        answer = {}
        for job in self.jobs.values():
            if usable <= job.refused.keys():
                why = "; ".join(sorted({job.refused[name] for name in usable})[:5])
                answer[job.name] = f"No node here can run it: the job waits for another ({why})"
                continue
            if job.running or not job.maps.pending or not (job.force_local or job.force_remote):
                continue
            homes = {job.preferred.get(index, "") for index in job.maps.pending}
            named = " and ".join(sorted(homes))
            if "" in homes:
                continue  # what has no home may run everywhere
            if job.force_local and homes.isdisjoint(usable):
                answer[job.name] = f"force_local: the job waits for {named}"
            elif job.force_remote and homes == usable and len(usable) == 1:
                answer[job.name] = f"force_remote: the job waits for another node than {named}"
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
            if node in job.refused:
                return None
            phase_name, phase = job.open_phase()
            tasks = self._pick(job, phase_name, phase, node, phase.batch_size(due))
            attempts = tuple((task, job.attempts.get(task, 0) + 1) for task in tasks)
            return Assignment(name, node, attempts, self._tag) if attempts else None

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
        if not _allows(job, task, node):
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
        return [name for name, state in self.nodes.items() if state.is_open and _allows(job, task, name)]

    def _retry(self, job: JobState, task: TaskId, node: str, now_s: float) -> None:
        """Let a task wait again: at once where another node may take it, else after a backoff."""
        if not node:
            self._wait(job, task, first=True)
            return
        excluded = job.excluded.setdefault(task, {})
        excluded[node] = now_s
        if any(other not in excluded for other in self._candidates(job, task)):
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

    def _close(self, job: JobState, task: TaskId) -> None:
        batch_id = self._batch_of.pop((job.name, task), None)
        if batch_id is None:
            return
        job.running -= 1
        batch = self.batches[batch_id]
        batch.open_tasks.discard(task)
        if not batch.open_tasks:
            del self.batches[batch_id]
            job.batches -= 1
            if batch.node in self.nodes:
                self.nodes[batch.node].batches -= 1


def _allows(job: JobState, task: TaskId, node: str) -> bool:
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
