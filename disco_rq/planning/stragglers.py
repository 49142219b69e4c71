"""Which attempts lag far behind the others of their phase, and where copies of them would run. Pure.

A copy is a second attempt of a task, on a slot that has nothing else to do; whichever of the two is committed
first counts. The board knows when an attempt was assigned; who asks here looks up whether it was claimed.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from disco_rq.model import TaskId
from disco_rq.planning.board import Board, allows
from disco_rq.planning.jobstate import BATCH_S, JobState, PhaseState
from disco_rq.planning.nodestate import NodeState

FACTOR = 2.0
"""An attempt lags that takes so many times as long as its phase's median ..."""
LEAST_S = 0.5
"""... and longer than that by so much."""


@dataclass(frozen=True, slots=True)
class Laggard:
    """An attempt that was assigned longer ago than it should take."""

    job: str
    task: TaskId
    attempt: int
    node: str
    batch_id: str
    median_s: float
    limit_s: float


def laggards(board: Board, now_s: float) -> list[Laggard]:
    """The attempts that lag, longest first; none while no slot is idle, since then nothing can be done."""
    if not any(_is_idle(node) for node in board.nodes.values()):
        return []
    found = []
    medians: dict[str, float | None] = {}
    for batch_id, batch in board.batches.items():
        job = board.jobs[batch.job]
        if job.name not in medians:
            medians[job.name] = _median_s(job)
        middle_s = medians[job.name]
        if middle_s is None or now_s - batch.since_s < _limit_s(middle_s):
            continue
        phase_name, phase = job.open_phase()
        for task in batch.open_tasks:
            live = board.live(job.name, task)
            limit_s = _limit_s(middle_s * _share(phase, task))
            if task.phase == phase_name and len(live) == 1 and now_s - batch.since_s > limit_s:
                laggard = Laggard(job.name, task, next(iter(live)), batch.node, batch_id, middle_s, limit_s)
                found.append((batch.since_s, task, laggard))
    return [laggard for _, _, laggard in sorted(found, key=lambda one: one[:2])]


def node_for_copy(board: Board, laggard: Laggard, slow: Collection[str]) -> str | None:
    """Where a copy would run: the emptiest node that may take it, those that are slow themselves last."""
    nodes = (
        []
        if _is_full(board, board.jobs[laggard.job])
        else [name for name in board.nodes if _may_copy(board, laggard, name)]
    )
    return min(nodes, key=lambda name: (name in slow, board.nodes[name].batches, name), default=None)


def has_room_elsewhere(board: Board, laggard: Laggard) -> bool:
    """Whether a slot is idle for a task that is stuck in the queue of its node."""
    return any(_may_copy(board, laggard, name) for name in board.nodes)


def _median_s(job: JobState) -> float | None:
    """What a task of the open phase takes; None while less than half of them are done, or none may lag."""
    _, phase = job.open_phase()
    if not job.speculative or job.paused or 2 * len(phase.done) < job.nr_wanted(phase):
        return None
    return phase.median_s


def _limit_s(expected_s: float) -> float:
    """For how long an attempt may take that is expected to take so long; a batch of short ones is as one."""
    expected_s = max(expected_s, BATCH_S)
    return max(FACTOR * expected_s, expected_s + LEAST_S)


def _share(phase: PhaseState, task: TaskId) -> float:
    """How many times as much the task has to do as the mean one, where that is known; at least 1."""
    if not phase.sizes:
        return 1.0
    return max(1.0, phase.sizes.get(task.index, 0) * phase.total / max(sum(phase.sizes.values()), 1))


def _is_idle(node: NodeState) -> bool:
    return node.is_open and node.batches < node.slots


def _is_full(board: Board, job: JobState) -> bool:
    has_most = job.max_cores is not None and job.batches >= job.max_cores
    return has_most or board.owners.is_capped(job.owner)


def _may_copy(board: Board, laggard: Laggard, node: str) -> bool:
    job = board.jobs[laggard.job]
    return (
        node != laggard.node
        and _is_idle(board.nodes[node])
        and node not in job.excluded.get(laggard.task, ())
        and allows(board, job, laggard.task, node)
    )
