"""A job as the planner sees it: its tasks by phase, and its place among the others."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from statistics import median

from disco_rq.model import Phase, TaskId, TaskKind
from disco_rq.planning.labels import Labels
from disco_rq.planning.turns import Turn

BATCH_S = 0.1
"""The working time that one batch of small tasks aims at."""
BATCH_MAX = 150
"""Even a task that does nothing takes part of a millisecond of its slot, which no duration tells. The scripts
take batches of some 3,900 tasks at most.
"""
SHARE_S = 0.005
"""A batch costs some 2 ms of its own: less work than this is not spread over the slots."""
AHEAD_BELOW_S = 1.0
"""Tasks shorter than this are worth having one batch ahead in a node's queue."""
SAMPLE = 30
"""Of so many tasks of a phase the durations are kept, the last ones."""


@dataclass(slots=True)
class PhaseState:
    """The tasks of one phase of a job."""

    waiting: deque[int] = field(default_factory=deque)
    delayed: dict[int, float] = field(default_factory=dict)  # index -> when it waits again, after its backoff
    local: dict[str, deque[int]] = field(default_factory=dict)  # node -> its waiting tasks, also in waiting
    pending: set[int] = field(default_factory=set)  # what really waits; the deques may hold stale entries
    done: dict[int, int] = field(default_factory=dict)  # index -> attempt that was committed
    total: int = 0
    mean_s: float | None = None  # running mean of a task's duration
    durations_s: deque[float] = field(default_factory=lambda: deque(maxlen=SAMPLE))  # of the last ones
    median_s: float | None = None  # of these, more or less
    sizes: Mapping[int, int] | None = None  # index -> what it has to do, in bytes, once that is known

    @property
    def complete(self) -> bool:
        return len(self.done) == self.total

    @property
    def is_short(self) -> bool:
        """Whether its tasks are known to be worth having one batch ahead."""
        return self.mean_s is not None and self.mean_s <= AHEAD_BELOW_S

    def measure(self, duration_s: float) -> None:
        self.durations_s.append(duration_s)
        if self.median_s is None or len(self.done) % 8 == 0 or len(self.done) < SAMPLE:
            self.median_s = median(self.durations_s)
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
    owner: str = ""
    priority: int = 0
    submitted_ms: int = 0
    paused: bool = False
    max_cores: int | None = None
    force_local: bool = False
    force_remote: bool = False
    speculative: bool = True  # its tasks that lag may have copies
    checked: frozenset[int] = frozenset()  # maps that run a second time once they are done
    pilot: frozenset[int] | None = None  # the maps that may run now, of those that are not done; None: all
    is_small: bool = False  # so that one batch may have all its tasks
    needs: Mapping[str, Labels] = field(default_factory=dict)  # phase -> what its tasks need of a node
    preferred: Mapping[int, str] = field(default_factory=dict)  # map index -> node that has its input
    attempts: dict[TaskId, int] = field(default_factory=dict)  # highest number of each task that was tried
    excluded: dict[TaskId, dict[str, float]] = field(default_factory=dict)  # task -> node -> when it failed
    refused: dict[str, str] = field(default_factory=dict)  # node that cannot run this job -> why
    batches: int = 0
    running: int = 0  # attempts under way
    turn: int = 0  # when it was last assigned a batch, in turns of the planner
    maps: PhaseState = field(default_factory=PhaseState)
    reduces: PhaseState = field(default_factory=PhaseState)
    checks: PhaseState = field(default_factory=PhaseState)  # by the indices of the maps

    def __post_init__(self) -> None:
        self.maps.total, self.reduces.total = self.nr_maps, self.nr_reduces
        self.checks.total = len(self.checked)

    def phase(self, task: TaskId) -> PhaseState:
        return {"map": self.maps, "reduce": self.reduces, "check": self.checks}[task.phase]

    def open_phase(self) -> tuple[Phase, PhaseState]:
        """The phase whose tasks may run now: the reduces wait for every map."""
        return ("map", self.maps) if not self.maps.complete else ("reduce", self.reduces)

    def next_phase(self) -> tuple[TaskKind, PhaseState]:
        """The phase of which a task may run next: checks come when nothing else of the job waits."""
        phase_name, phase = self.open_phase()
        return ("check", self.checks) if self.checks.pending and not phase.pending else (phase_name, phase)

    def nr_wanted(self, phase: PhaseState) -> int:
        """How many tasks of the phase are done, or are to be before it goes on."""
        if self.pilot is None or phase is self.reduces:
            return phase.total
        return len(self.pilot | phase.done.keys())

    def whole(self) -> list[TaskId]:
        """All tasks, the maps first, if it is small and none of them has been tried yet."""
        begun = any(self.attempts.values()) or self.maps.done
        if begun or not self.is_small or self.needs.get("map") != self.needs.get("reduce"):
            return []
        maps = [TaskId("map", index) for index in range(self.maps.total)]
        return maps + [TaskId("reduce", index) for index in range(self.reduces.total)]

    def wanted(self) -> int:
        """How many slots its tasks that wait could have at most, where it has a turn."""
        waiting = len(self.next_phase()[1].pending)
        return waiting if self.max_cores is None else min(waiting, self.max_cores - self.batches)

    def turn_now(self) -> Turn | None:
        """Its place among the jobs that may have a batch; None if it may not."""
        busy = self.max_cores is not None and self.batches >= self.max_cores
        if self.paused or busy or not self.next_phase()[1].pending:
            return None
        return -self.priority, self.batches, self.turn, self.submitted_ms, self.name

    def takes(self, node: str) -> bool:
        """Whether it may have something for a slot of the node that becomes free."""
        is_elsewhere = self.force_local and not self.maps.complete and not self.maps.local.get(node)
        return node not in self.refused and not is_elsewhere

    def wait(self, task: TaskId, *, first: bool = False) -> None:
        """The task waits for a node: ``first``, before the others."""
        phase = self.phase(task)
        phase.pending.add(task.index)
        home = self.preferred.get(task.index) if task.phase == "map" else None
        # What nobody else may take is not laid out for others, who would look at all of it in vain.
        queues = [] if home is not None and self.force_local else [phase.waiting]
        if home is not None and not self.force_remote:
            queues.append(phase.local.setdefault(home, deque()))
        for queue in queues:
            if first:
                queue.appendleft(task.index)
            else:
                queue.append(task.index)

    def check_due(self, index: int, node: str, *, is_live: bool) -> None:
        """A map is done on a node, and is to be checked if it is not yet: elsewhere, if it can be."""
        check = TaskId("check", index)
        if node:
            self.excluded.setdefault(check, {}).setdefault(node, -inf)
        if not (is_live or index in self.checks.done or index in self.checks.delayed):
            self.wait(check)

    def wake(self, now_s: float) -> None:
        """Tasks whose backoff is over wait like any other."""
        phases: list[tuple[TaskKind, PhaseState]] = [self.open_phase(), ("check", self.checks)]
        for phase_name, phase in phases:
            for index in [index for index, not_before in phase.delayed.items() if not_before <= now_s]:
                del phase.delayed[index]
                self.wait(TaskId(phase_name, index), first=True)
