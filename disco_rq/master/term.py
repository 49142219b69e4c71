"""A master's term of office: all that begins anew with each lead, and ends with it.

It holds nothing that cannot be read again from Redis.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from disco_rq.master.caretaker import DUTIES_EVERY_S, Caretaker
from disco_rq.master.retention import Retention
from disco_rq.master.speculation import Speculation
from disco_rq.model import RENEW_S
from disco_rq.planning.assignment import Assignment
from disco_rq.planning.board import Board
from disco_rq.planning.jobstate import JobState
from disco_rq.planning.owners import Portions
from disco_rq.planning.planner import Planner
from disco_rq.store.cluster import ClusterStore, ControlEvent, JobSnapshot, TaskEvent
from disco_rq.store.ends import Ends
from disco_rq.store.lead import Lead
from disco_rq.store.queues import Queues
from disco_rq.store.unreadable import UNREADABLE, answer, leave_out

log = logging.getLogger("disco_rq.master")

POLL_MS = round(DUTIES_EVERY_S * 1000)
"""For how long a read of the control stream waits; also how late a time-driven duty may come."""


class Term:
    """Reads everything, then leads, until another master does or all must be read again."""

    def __init__(
        self,
        store: ClusterStore,
        lead: Lead,
        queues: Queues,
        retention: Retention,
        ends: Ends,
        portions: Portions | None = None,
        tell_end: Callable[[str], object] | None = None,
    ) -> None:
        """``tell_end`` is called with the name of each job that has ended."""
        self._store = store
        self._ends = ends
        self._queues = queues
        self._lead = lead
        self._tell_end = tell_end
        self.board = Board(portions)
        self._planner = Planner(self.board, tag=secrets.token_hex(2))
        self._jobs: dict[str, JobSnapshot] = {}
        self.caretaker = Caretaker(store, lead, queues, self.board, self._jobs, retention)
        self._speculation = Speculation(store, self._planner, self.caretaker.hand_back)

    def run(self, stop: threading.Event, http: str) -> None:
        """Lead until told to stop, or until the term is over. ``http``: the address to be told."""
        position = self._store.control_end()  # before the jobs are read: what comes after is told again
        self.caretaker.count_nodes()
        for name in sorted(self._store.active_jobs()):
            self._load(name)
        self._ends.work_off()
        renew_at = look_at = 0.0
        while not stop.is_set():
            # First what a job waits for, then the duties; then again, for what these have found.
            if not self._assign(self._planner.plan(time.monotonic())):
                return
            if not self._assign(self._speculation.look(time.monotonic())):
                return
            now = time.monotonic()
            if now >= renew_at:
                if not self._lead.keep(http):
                    log.warning("the lead is lost", extra={"action": "resign"})
                    return
                renew_at = now + RENEW_S
            if now >= look_at:
                if not self.caretaker.look():
                    log.warning("Redis was started again", extra={"action": "reload"})
                    return
                self._lead.trim_control(position)
                self._ends.work_off()
                look_at = now + POLL_MS / 1000
                continue
            position, events = self._store.read_control(position, POLL_MS)
            for event in events:
                self._apply_readable(event)
            if any(event.kind == "nodes" for event in events):  # of a rack that comes, hundreds at once
                self.caretaker.count_nodes()

    def _apply_readable(self, event: ControlEvent | TaskEvent) -> None:
        """One that does not fit to what is known is told, and its job read again."""
        try:
            self._apply(event)
        except UNREADABLE as error:
            leave_out("what the control stream tells,", event, error)
            self.board.remove_job(event.job)
            self._load(event.job)

    def _apply(self, event: ControlEvent | TaskEvent) -> None:
        """Note on the board what happened. Events may come twice; what was loaded already is left alone."""
        if isinstance(event, TaskEvent):
            self._apply_to_task(event, time.monotonic())
            return
        match event.kind:
            case "submitted" | "changed":
                self.board.remove_job(event.job)
                self._load(event.job)
            case "ended":
                self._end(event.job)
            case "forgotten":
                self.caretaker.forget(event.job)
            case "nodes":
                self.board.node_changed(event.node)

    def _apply_to_task(self, event: TaskEvent, now_s: float) -> None:
        name, task, attempt = event.job, event.task, event.attempt
        match event.kind:
            case "done":
                duration_s = event.duration_ms / 1000
                overtaken = self.board.task_done(name, task, attempt, now_s=now_s, duration_s=duration_s)
                # Where a worker still has other tasks of the batch, it notices by its leases.
                self._stop_batches(overtaken.values() - self.board.batches.keys())
                self._size_reduces(name)
            case "failed":
                self.board.task_failed(name, task, attempt, event.node, now_s)
            case "unclaimed":
                self.board.task_unclaimed(name, task, attempt)
            case "lost":
                self.board.output_lost(name, task, attempt, event.node, now_s)
            case "refused":
                self.board.task_refused(name, task, attempt, event.node, event.why)

    def _load(self, name: str) -> None:
        """Take an active job over as Redis has it. One that cannot be read is told, and left alone."""
        try:
            self._load_readable(name)
        except UNREADABLE as error:
            self.board.remove_job(name)
            self._jobs.pop(name, None)
            leave_out("job", name, error)
            why = f"{type(error).__name__}: {error}"
            told = f"This master cannot read the records of this job, which waits: {why}"
            answer(lambda: self._store.event(name, told))

    def _load_readable(self, name: str) -> None:
        snapshot = self._store.snapshot(name)
        if snapshot is None:
            return
        self._jobs[name] = snapshot
        self.board.add_job(_job_state(snapshot))
        for task, state in snapshot.tasks.items():
            if state.state == "done":
                now_s = time.monotonic()
                self.board.task_done(name, task, state.attempt, now_s=now_s, node=state.node)
            elif state.state in ("queued", "running"):
                self.board.task_assigned(
                    name, task, state.attempt, node=state.node, batch_id=state.batch, now_s=time.monotonic()
                )
        for task, state in snapshot.copies.items():
            self.board.number_taken(name, task, state.attempt)
            if state.state != "waiting":
                self.board.task_assigned(
                    name, task, state.attempt, node=state.node, batch_id=state.batch, now_s=time.monotonic()
                )
        for task, duration_s in snapshot.durations_s.items():
            self.board.measured(name, task, duration_s)
        self._size_reduces(name)

    def _size_reduces(self, name: str) -> None:
        """When the last map is done it is known how much each reduce has to do."""
        if self.board.wants_sizes(name):
            self.board.sizes_known(name, self._store.partition_sizes(name))

    def _end(self, name: str) -> None:
        """A job is over: what it still runs is stopped at once."""
        batches = [batch_id for batch_id, batch in self.board.batches.items() if batch.job == name]
        self.board.remove_job(name)
        snapshot = self._jobs.pop(name, None)
        self._stop_batches(batches)
        if self._tell_end is not None:
            self._tell_end(name)
        if snapshot is None or snapshot.spec.on_end:
            self._ends.work_off()

    def _stop_batches(self, batches: Iterable[str]) -> None:
        for batch_id in batches:
            self._queues.stop(batch_id)

    def _assign(self, assignments: Sequence[Assignment]) -> bool:
        """Promise and enqueue, all in one transaction. False: the lead is lost."""
        if not assignments:
            return True
        assigned = self._lead.promise(assignments, self._queues)
        if -1 in assigned:
            return False
        refused = [a for a, number in zip(assignments, assigned, strict=True) if number != len(a.tasks)]
        for copy in [assignment for assignment in refused if assignment.copy_of]:  # it is not needed any more
            [(task, attempt)] = copy.tasks
            self.board.task_failed(copy.job, task, attempt, "", time.monotonic())
        # Not as we thought: the job ended, or another master was here before.
        for job in sorted({assignment.job for assignment in refused if not assignment.copy_of}):
            self.board.remove_job(job)
            self._load(job)
        return True


def _job_state(snapshot: JobSnapshot) -> JobState:
    spec = snapshot.spec
    return JobState(
        name=spec.name,
        nr_maps=spec.nr_maps,
        nr_reduces=spec.nr_reduces if spec.has_reduce else 0,
        owner=snapshot.owner,
        priority=spec.priority,
        submitted_ms=snapshot.submitted_ms,
        paused=snapshot.paused,
        pilot=snapshot.pilot,
        checked=spec.checked,
        max_cores=spec.max_cores,
        force_local=spec.force_local,
        force_remote=spec.force_remote,
        is_small=spec.is_small,
        needs=spec.needs,
        # A copy sends its messages again: it must not be these that end the job.
        speculative=spec.speculative and spec.msg_overflow == "drop",
        preferred=snapshot.preferred,
        attempts={task: state.attempt for task, state in snapshot.tasks.items()},
        excluded={task: _excluded(failures) for task, failures in snapshot.failures.items()},
    )


def _excluded(failures: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Node -> when it failed the task. Only the order counts: the master's clock is not the server's."""
    return {failure["node"]: float(-len(failures) + i) for i, failure in enumerate(failures)}
