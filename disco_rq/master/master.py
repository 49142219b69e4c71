"""The master: reads what happened, asks the planner, puts batches into the nodes' queues.

It holds nothing that cannot be read again from Redis: killed at any instruction, another one loads the active
jobs and goes on. One master leads, by a lease; every decision carries its token and is refused once another
one leads.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import signal
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from redis.client import Pipeline
from rq import Queue
from rq.command import send_stop_job_command
from rq.exceptions import InvalidJobOperation, NoSuchJobError

from disco_rq.errors import ConnectionLost
from disco_rq.master.caretaker import LOOK_S, Caretaker, node_queue
from disco_rq.master.retention import Retention
from disco_rq.master.speculation import Speculation
from disco_rq.model import RENEW_S, TaskId
from disco_rq.packing import Serializer
from disco_rq.planning.assignment import Assignment
from disco_rq.planning.jobstate import JobState
from disco_rq.planning.planner import Planner
from disco_rq.settings import Settings
from disco_rq.store.cluster import ClusterStore, ControlEvent, JobSnapshot
from disco_rq.store.connection import Connection
from disco_rq.store.jobs import JobStore

log = logging.getLogger("disco_rq.master")

RUN_BATCH = "disco_rq.worker.run_batch"
POLL_MS = round(LOOK_S * 1000)
"""For how long a read of the control stream waits; also how late a time-driven duty may come."""
RESULT_TTL_S = 60
FAILURE_TTL_S = 4 * 3600


class Master:
    """One master process. ``run`` leads whenever it may, until ``stop``."""

    def __init__(self, connection: Connection, settings: Settings, token: str | None = None) -> None:
        """``token``: of a master that is known to be dead, to go on with its lease; else one of its own."""
        self._connection = connection
        self._settings = settings
        self._store = ClusterStore(connection, token or secrets.token_hex(8))
        self._planner = Planner()
        self._jobs: dict[str, JobSnapshot] = {}
        self._queues: dict[str, Queue] = {}
        # A connection of its own: a purge is to make room in a full Redis, not to wait for some.
        self._for_retention = Connection(connection.url)
        self._retention = Retention(JobStore(self._for_retention), settings.gc_after)
        self._stop = threading.Event()

    def stop(self) -> None:
        """Ask ``run`` to end; it gives the lead up. Safe in a signal handler."""
        self._stop.set()

    def run(self) -> None:
        """Lead, or stand by, until stopped. ``ConnectionLost`` when Redis is away for too long."""
        while not self._stop.is_set():
            if self._store.lead(self._settings.http):
                self._lead()
            else:
                self._stop.wait(RENEW_S / 2)
        self._store.resign()
        self._for_retention.close()

    # -- leading

    def _lead(self) -> None:
        """Read everything, then lead, until another master does or all must be read again."""
        log.info("this master leads", extra={"action": "lead"})
        self._planner, self._jobs = Planner(tag=secrets.token_hex(2)), {}
        self._caretaker = Caretaker(
            self._connection.redis, self._store, self._planner, self._jobs, self._retention
        )
        self._speculation = Speculation(self._store, self._planner, self._caretaker.hand_back)
        position = self._store.control_end()  # before the jobs are read: what comes after is told again
        self._caretaker.count_nodes()
        for name in sorted(self._store.active_jobs()):
            self._load(name)
        renew_at = look_at = 0.0
        while not self._stop.is_set():
            # First what a job waits for, then the duties; then again, for what these have found.
            if not self._assign(self._planner.plan(time.monotonic())):
                return
            if not self._assign(self._speculation.look(time.monotonic())):
                return
            now = time.monotonic()
            if now >= renew_at:
                if not self._store.keep_lead(self._settings.http):
                    log.warning("the lead is lost", extra={"action": "resign"})
                    return
                renew_at = now + RENEW_S
            if now >= look_at:
                if not self._caretaker.look():
                    log.warning("Redis was started again", extra={"action": "reload"})
                    return
                self._store.trim_control(position)
                look_at = now + POLL_MS / 1000
                continue
            position, events = self._store.read_control(position, POLL_MS)
            for event in events:
                self._apply(event)
            if any(event.kind == "nodes" for event in events):  # of a rack that comes, hundreds at once
                self._caretaker.count_nodes()

    def _apply(self, event: ControlEvent) -> None:
        """Tell the planner what happened. Events may come twice; what was loaded already is left alone."""
        match event.kind:
            case "submitted" | "changed":
                self._planner.remove_job(event.job)
                self._load(event.job)
            case "done":
                task = TaskId.parse(event.task)
                duration_s = event.duration_ms / 1000
                overtaken = self._planner.task_done(event.job, task, event.attempt, duration_s)
                # Where a worker still has other tasks of the batch, it notices by its leases.
                self._stop_batches(overtaken.values() - self._planner.batches.keys())
                self._size_reduces(event.job)
            case "failed":
                task = TaskId.parse(event.task)
                self._planner.task_failed(event.job, task, event.attempt, event.node, time.monotonic())
            case "lost":
                task = TaskId.parse(event.task)
                self._planner.output_lost(event.job, task, event.attempt, event.node, time.monotonic())
            case "ended":
                self._end(event.job)
            case "forgotten":
                self._caretaker.forget(event.job)
            case "refused":
                task = TaskId.parse(event.task)
                self._planner.task_refused(event.job, task, event.attempt, event.node, event.why)
            case "nodes":
                self._planner.node_changed(event.node)

    def _load(self, name: str) -> None:
        """Take an active job over as Redis has it."""
        snapshot = self._store.snapshot(name)
        if snapshot is None:
            return
        self._jobs[name] = snapshot
        self._planner.add_job(_job_state(snapshot))
        for text, state in snapshot.tasks.items():
            task = TaskId.parse(text)
            if state.state == "done":
                self._planner.task_done(name, task, state.attempt)
            elif state.state in ("queued", "running"):
                self._planner.task_assigned(
                    name, task, state.attempt, node=state.node, batch_id=state.batch, now_s=time.monotonic()
                )
        for text, state in snapshot.copies.items():
            task = TaskId.parse(text)
            self._planner.number_taken(name, task, state.attempt)
            if state.state != "waiting":
                self._planner.task_assigned(
                    name, task, state.attempt, node=state.node, batch_id=state.batch, now_s=time.monotonic()
                )
        for text, duration_s in snapshot.durations_s.items():
            self._planner.measured(name, TaskId.parse(text), duration_s)
        self._size_reduces(name)

    def _size_reduces(self, name: str) -> None:
        """When the last map is done it is known how much each reduce has to do."""
        if self._planner.wants_sizes(name):
            self._planner.sizes_known(name, self._store.partition_sizes(name))

    def _end(self, name: str) -> None:
        """A job is over: what it still runs is stopped at once."""
        batches = [batch_id for batch_id, batch in self._planner.batches.items() if batch.job == name]
        self._planner.remove_job(name)
        self._jobs.pop(name, None)
        self._stop_batches(batches)

    def _stop_batches(self, batches: Iterable[str]) -> None:
        for batch_id in batches:
            # Not started, or through: then its claim will be refused, or there is nothing to stop.
            with contextlib.suppress(NoSuchJobError, InvalidJobOperation):
                send_stop_job_command(self._connection.redis, batch_id, serializer=Serializer)

    # -- carrying out

    def _assign(self, assignments: Sequence[Assignment]) -> bool:
        """Promise and enqueue, all in one transaction. False: the lead is lost."""
        if not assignments:
            return True
        pipe = self._store.transaction()
        places = []  # of the answers to the promises
        for assignment in assignments:
            tasks = [(str(task), attempt) for task, attempt in assignment.tasks]
            places.append(len(pipe))
            self._promise(pipe, assignment, tasks)
            data = Queue.prepare_data(
                RUN_BATCH,
                args=[assignment.job, assignment.batch, tasks],
                job_id=assignment.batch,
                timeout=-1,  # the worker holds the job's own task_timeout
                result_ttl=RESULT_TTL_S,
                failure_ttl=FAILURE_TTL_S,
                description=f"{assignment.job} {tasks[0][0]} and {len(tasks) - 1} more",
            )
            self._queue(assignment.node).enqueue_many([data], pipeline=pipe)
        answers = pipe.execute()
        assigned = [answers[place] for place in places]
        if -1 in assigned:
            return False
        refused = [a for a, number in zip(assignments, assigned, strict=True) if number != len(a.tasks)]
        for copy in [assignment for assignment in refused if assignment.copy_of]:  # it is not needed any more
            [(task, attempt)] = copy.tasks
            self._planner.task_failed(copy.job, task, attempt, "", time.monotonic())
        # Not as we thought: the job ended, or another master was here before.
        for job in sorted({assignment.job for assignment in refused if not assignment.copy_of}):
            self._planner.remove_job(job)
            self._load(job)
        return True

    def _promise(self, pipe: Pipeline, to: Assignment, tasks: Sequence[tuple[str, int]]) -> None:
        if to.copy_of:
            self._store.assign_copy(pipe, to.job, to.node, to.batch, tasks[0], to.copy_of, to.why)
        else:
            self._store.assign(pipe, to.job, to.node, to.batch, tasks)

    def _queue(self, node: str) -> Queue:
        if node not in self._queues:
            self._queues[node] = node_queue(self._connection.redis, node)
        return self._queues[node]


def _job_state(snapshot: JobSnapshot) -> JobState:
    spec = snapshot.spec
    return JobState(
        name=spec.name,
        nr_maps=spec.nr_maps,
        nr_reduces=spec.nr_reduces if spec.has_reduce else 0,
        priority=spec.priority,
        submitted_ms=snapshot.submitted_ms,
        paused=snapshot.paused,
        max_cores=spec.max_cores,
        force_local=spec.force_local,
        force_remote=spec.force_remote,
        # A copy sends its messages again: it must not be these that end the job.
        speculative=spec.speculative and spec.msg_overflow == "drop",
        preferred=snapshot.preferred,
        attempts={TaskId.parse(task): state.attempt for task, state in snapshot.tasks.items()},
        excluded={TaskId.parse(task): _excluded(failures) for task, failures in snapshot.failures.items()},
    )


def _excluded(failures: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Node -> when it failed the task. Only the order counts: the master's clock is not the server's."""
    return {failure["node"]: float(-len(failures) + i) for i, failure in enumerate(failures)}


def run_master(settings: Settings, token: str | None = None) -> None:
    """The program ``disco-rq master``: lead or stand by until SIGTERM or SIGINT."""
    if settings.redis is None:
        raise ConnectionLost("a master needs the address of a Redis: set DISCO_RQ_REDIS or give --redis")
    connection = Connection(settings.redis, waits_for_memory=True)
    connection.check()
    master = Master(connection, settings, token)
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: master.stop())
    try:
        master.run()
    finally:
        connection.close()
