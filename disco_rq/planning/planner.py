"""The planner: which task runs next, where. Pure: it looks at the board, and answers with assignments.

No I/O and no clock: ``now_s`` is given. The master keeps the board and carries the answers out; a test can
play any story. The rules: where owners have shares, slots are dealt among those with tasks waiting (see
``owners``); of one owner, or of all where nobody has a share, a job with a higher priority goes first, among
equals the one with the fewest batches under way, then the one that waited longest for its turn; of its
reduces the one with most to do goes first; a task goes to the node that has its input if it can, but not to a
node that failed it, unless every live node did; a node is promised as many batches as it has slots, and one
ahead while tasks are short, and no other job's turn it is. Maps are checked when nothing else of their job
waits: on another node than theirs, if there is one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from disco_rq.model import TaskId, TaskKind
from disco_rq.planning.assignment import Assignment
from disco_rq.planning.board import Board, allows, has_needs
from disco_rq.planning.jobstate import JobState, PhaseState
from disco_rq.planning.owners import Dealing
from disco_rq.planning.stragglers import Laggard, node_for_copy
from disco_rq.planning.turns import Place, Round, Turn, Waiting


class Outlook(NamedTuple):
    """What one plan goes by."""

    now_s: float
    due: Mapping[str, float]  # group of owners -> slots for each of its jobs that may have a batch
    fast: int  # slots of nodes that are not slow


class Planner:
    """The next assignments."""

    def __init__(self, board: Board, tag: str = "0") -> None:
        """``tag``: letters and digits that tell its batches from those of other planners."""
        self.board = board
        self.tag = tag
        self._dealing = Dealing(board.owners)
        self._turn = 0

    def plan(self, now_s: float) -> list[Assignment]:
        """Assignments that fill the free slots. They count as under way from here on."""
        jobs = self.board.jobs
        for job in jobs.values():
            if job.maps.delayed or job.reduces.delayed or job.checks.delayed:
                job.wake(now_s)
        nodes = {name: node for name, node in self.board.nodes.items() if node.is_open}
        ready = self._ready()
        outlook = self._outlook(now_s, ready)
        self._dealing.begin(now_s, ((job.owner, job.wanted()) for job, _ in ready))
        answer: list[Assignment] = []
        # The emptiest node first; when each has its slots full, one batch ahead, of tasks that are short.
        for ahead in (False, True):
            loads = [
                (node.batches / node.slots, name)
                for name, node in nodes.items()
                if (node.batches == node.slots if ahead else node.batches < node.slots)
            ]
            heapify(loads)
            if not loads:
                continue
            free = sum(max(nodes[name].slots - nodes[name].batches, 1) for _, name in loads)
            turns, waiting = self._turns(self._ready() if answer else ready, free, ahead=ahead)
            while loads and turns:
                _, name = heappop(loads)
                # Who waits for the next free slot there, in its turn, must find it free.
                before = waiting.first(partial(self._takes, name))
                assignment = self._next_batch(name, turns, outlook, before)
                if assignment is None:
                    continue
                self._promise(assignment, turns, now_s)
                waiting.served(self._group(self.board.jobs[assignment.job]))
                answer.append(assignment)
                node = nodes[name]
                if node.batches < node.slots:
                    heappush(loads, (node.batches / node.slots, name))
        self._dealing.close()
        return answer

    def copies(self, lagging: Sequence[tuple[Laggard, float]], now_s: float) -> list[Assignment]:
        """Copies of attempts, each with the seconds that it has run for, on idle slots. They count as under
        way from here on.
        """
        slow = {laggard.node for laggard, _ in lagging}
        answer = []
        for laggard, ran_s in lagging:
            node = node_for_copy(self.board, laggard, slow)
            if node is None:
                continue
            number = self.board.jobs[laggard.job].attempts[laggard.task] + 1
            why = (
                f"{laggard.task} lags on {laggard.node} ({ran_s:.1f} s, median {laggard.median_s:.1f} s): "
                f"a copy starts on {node}"
            )
            attempts = ((laggard.task, number),)
            copy = Assignment(laggard.job, node, attempts, self.tag, laggard.attempt, why)
            self._note(copy, now_s)
            answer.append(copy)
        return answer

    # -- inside

    def _outlook(self, now_s: float, ready: Sequence[tuple[JobState, Turn]]) -> Outlook:
        nodes = [node for node in self.board.nodes.values() if node.is_open]
        slots = sum(node.slots for node in nodes)
        # What a job is due: where many take turns, each of their batches costs a slot a fresh process.
        rivals = {"": len(ready)} if ready else {}
        if self._dealing.is_on:
            rivals = Counter(job.owner for job, _ in ready)
        share = self.board.owners.portions.share
        whole = sum(map(share, rivals))
        due = {group: slots * share(group) / whole / number for group, number in rivals.items()}
        return Outlook(now_s, due, sum(node.slots for node in nodes if node.slowness(now_s) == 1))

    def _ready(self) -> list[tuple[JobState, Turn]]:
        """The jobs that may have a batch now."""
        jobs = self.board.jobs.values()
        ready = [(job, turn) for job in jobs if (turn := job.turn_now()) is not None]
        owners = self.board.owners
        return [one for one in ready if not owners.is_capped(one[0].owner)] if owners.has_caps else ready

    def _group(self, job: JobState) -> str:
        """Among whose jobs it takes turns: those of its owner, or all where no owner has a share."""
        return job.owner if self._dealing.is_on else ""

    def _turns(
        self, ready: Sequence[tuple[JobState, Turn]], places: int, *, ahead: bool
    ) -> tuple[Round, Waiting]:
        """The turns of the jobs that may have a batch, and those of the jobs that may not go ahead."""
        now: dict[str, list[Turn]] = {}
        waiting: dict[str, list[Turn]] = {}
        by_owner = self._dealing.is_on
        for job, turn in ready:
            some = waiting if ahead and not job.next_phase()[1].is_short else now
            some.setdefault(job.owner if by_owner else "", []).append(turn)
        self._dealing.open(places)
        jobs, owners = self.board.jobs, self.board.owners
        turns = Round(now, self._dealing.rank, lambda name: owners.is_capped(jobs[name].owner))
        return turns, Waiting(waiting, self._dealing.rank)

    def _next_batch(
        self, node: str, turns: Round, outlook: Outlook, before: Place | None
    ) -> Assignment | None:
        """The next batch for a node, of the first job in turn that has something for it."""

        def offer(name: str) -> Assignment | None:
            job = self.board.jobs[name]
            phase_name, phase = job.next_phase()
            if node in job.refused or not has_needs(self.board, job, phase_name, node):
                return None
            if self._others_are_sooner(job, phase, node, outlook):
                return None
            size = phase.batch_size(outlook.due.get(self._group(job), 1.0))
            tasks = job.whole() or self._pick(job, phase_name, phase, node, size)
            attempts = tuple((task, job.attempts.get(task, 0) + 1) for task in tasks)
            return Assignment(name, node, attempts, self.tag) if attempts else None

        return turns.take(offer, before)

    def _promise(self, assignment: Assignment, turns: Round, now_s: float) -> None:
        """Note an assignment; its job's next turn comes after the others'."""
        self._note(assignment, now_s)
        self._turn += 1
        job = self.board.jobs[assignment.job]
        job.turn = self._turn
        group = self._group(job)
        self._dealing.served(group, len(assignment.tasks))
        turns.put(group, None if self.board.owners.is_capped(job.owner) else job.turn_now())

    def _note(self, assignment: Assignment, now_s: float) -> None:
        """On the board: these attempts are under way."""
        batch_id, node = assignment.batch_id, assignment.node
        for task, attempt in assignment.tasks:
            self.board.task_assigned(assignment.job, task, attempt, node=node, batch_id=batch_id, now_s=now_s)

    def _others_are_sooner(self, job: JobState, phase: PhaseState, node: str, outlook: Outlook) -> bool:
        """Whether the node is slow, and others, which work for the job now, will have done what waits before
        it has done a task.
        """
        slowness = self.board.nodes[node].slowness(outlook.now_s)
        # While it does one, the others have room for so many.
        room = slowness * outlook.fast
        if slowness == 1 or job.force_local or job.force_remote or len(phase.pending) >= room:
            return False
        nodes = {batch.node for batch in self.board.batches.values() if batch.job == job.name}
        return any(
            name in self.board.nodes and self.board.nodes[name].slowness(outlook.now_s) == 1 for name in nodes
        )

    def _pick(
        self, job: JobState, phase_name: TaskKind, phase: PhaseState, node: str, size: int
    ) -> list[TaskId]:
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

    def _takes(self, node: str, name: str) -> bool:
        """Whether a job may have something for a slot of the node that becomes free."""
        job = self.board.jobs[name]
        if not job.takes(node) or self.board.owners.is_capped(job.owner):
            return False
        return has_needs(self.board, job, job.open_phase()[0], node)

    def _may_run(self, job: JobState, task: TaskId, node: str) -> bool:
        if not allows(self.board, job, task, node):
            return False
        excluded = job.excluded.get(task)
        if not excluded or node not in excluded:
            return True
        others = self.board.candidates(job, task)
        if any(name not in excluded for name in others):
            return False
        return node == min(others, key=lambda name: (excluded[name], name))
