"""The lead of one master, known by its token, and what it decides: refused once another one leads."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from redis.client import Pipeline
from redis.exceptions import ResponseError

from disco_rq.model import TaskId
from disco_rq.planning.assignment import Assignment
from disco_rq.store import keys
from disco_rq.store.attempts import LEASE_MS, Attempt, Failure, FailureKind, fail_call
from disco_rq.store.connection import Connection
from disco_rq.store.line import Arg
from disco_rq.store.queues import Queues
from disco_rq.store.taskstate import Lease, TaskState, task_args
from disco_rq.store.unreadable import answer, is_unreadable, leave_out, set_aside

log = logging.getLogger("disco_rq.master")

LEEWAY_MS = 1000
"""A lease that is longer by so much was given by another clock."""


class BatchPlace(NamedTuple):
    """Where a batch is to run."""

    job: str
    node: str
    batch_id: str


class CopyOf(NamedTuple):
    """A copy of an attempt that lags."""

    task: TaskId
    attempt: int  # the number of the copy
    of: int  # the attempt that lags
    why: str  # for the history


class Lead:
    """Take it, keep it, give it up; and decide, as long as it is held."""

    def __init__(self, connection: Connection, token: str) -> None:
        self._connection = connection
        self._redis = connection.redis
        self.token = token

    def take(self, http: str) -> bool:
        """Become or stay leader for another lease. False: another master leads."""
        return self._renew(http, "take")

    def keep(self, http: str) -> bool:
        """Stay leader for another lease. False: this master leads no more; if only its lease ran out, others
        may have led since, and what they did is not known here.
        """
        return self._renew(http, "keep")

    def _renew(self, http: str, how: str) -> bool:
        arguments: list[Arg] = [self.token, LEASE_MS, http, how]
        return bool(self._connection.run("lead_cluster", [keys.LEADER, keys.MASTER], arguments))

    def resign(self) -> None:
        """Give the lead up at once, if we have it."""
        self._connection.run("resign_lead", [keys.LEADER], [self.token])

    def trim_control(self, before: str) -> None:
        """Forget the events before an id: the leader has read them, and a new one loads the jobs whole."""
        self._redis.xtrim(keys.CONTROL, minid=before, approximate=True)

    def set_aside(self) -> None:
        """Rename keys of the cluster that are of another type than ours."""
        set_aside(self._redis, keys.cluster_types())

    def tell_waiting(self, waiting: Mapping[str, str]) -> None:
        """Job -> what it waits for, of all that wait: nobody else tells it."""
        pipe = self.transaction()
        pipe.delete(keys.WAITING)
        if waiting:
            pipe.hset(keys.WAITING, items=[part for pair in waiting.items() for part in pair])
        answer(pipe.execute)

    def tell_portions(self, shares: str, slots: str) -> None:
        """How the slots are dealt among owners, as the settings of the master that leads have it."""
        pipe = self.transaction()
        pipe.delete(keys.OWNERS)
        if shares or slots:
            pipe.hset(keys.OWNERS, mapping={"shares": shares, "slots": slots})
        answer(pipe.execute)

    # -- decisions

    def promise(self, assignments: Sequence[Assignment], queues: Queues) -> list[int]:
        """Promise batches to their nodes and put them into the queues, all in one transaction.

        Of each how many attempts were assigned: not all of them where it is not as the planner thought; -1 if
        the lead is lost.
        """
        pipe = self.transaction()
        places = []  # of the answers to the promises
        for batch in assignments:
            places.append(len(pipe))
            to = BatchPlace(batch.job, batch.node, batch.batch_id)
            if batch.copy_of:
                self.assign_copy(pipe, to, CopyOf(*batch.tasks[0], batch.copy_of, batch.why))
            else:
                self.assign(pipe, to, batch.tasks)
            queues.put(pipe, batch)
        answers = pipe.execute(raise_on_error=False)
        if failed := [answer for answer in answers if isinstance(answer, Exception)]:
            log.warning("what was promised was refused: %s", failed[0], extra={"action": "promise"})
        # A promise that met what it cannot read was not given.
        return [0 if isinstance(answers[place], Exception) else answers[place] for place in places]

    def transaction(self) -> Pipeline:
        return self._redis.pipeline(transaction=True)

    def assign(self, pipe: Pipeline, to: BatchPlace, tasks: Sequence[tuple[TaskId, int]]) -> None:
        """Add to a transaction: these attempts are promised to the node."""
        job = keys.JobKeys(to.job)
        args = [self.token, to.node, to.batch_id, *task_args(tasks)]
        self._connection.add_script(pipe, "assign_tasks", [keys.LEADER, job.job, job.tasks], args)

    def assign_copy(self, pipe: Pipeline, to: BatchPlace, copy: CopyOf) -> None:
        """Add to a transaction: the copy is promised to the node."""
        job = keys.JobKeys(to.job)
        script_keys = [keys.LEADER, job.job, job.tasks, job.copies, job.events, keys.TOTALS]
        args: list[Arg] = [self.token, to.node, to.batch_id, str(copy.task), copy.of, copy.attempt, copy.why]
        self._connection.add_script(pipe, "assign_copy", script_keys, args)

    def end_attempt(
        self, lost: Lease, state: TaskState | None, kind: FailureKind, why: str, *, survives: int = 0
    ) -> str:
        """Fail or release an attempt whose worker cannot say it. Answers of ``fail_attempt.lua``, or
        ``unreadable``: there is something in the job's records that this version does not understand.
        """
        # What is released was seen in a queue: a worker that claimed it meanwhile keeps it.
        worker = "-" if kind == "release" else "*"
        attempt = Attempt(lost.job, lost.task, lost.attempt, state.node if state else "-", worker)
        call = fail_call(attempt, kind, Failure(why), survives=survives, leader=self.token)
        try:
            answer: bytes = self._connection.run(*call)
        except ResponseError as error:
            if not is_unreadable(error):
                raise
            leave_out("job", lost.job, error)
            return "unreadable"
        return answer.decode()

    def take_back_leases(self, now_ms: int) -> None:
        """Let none end later than one that is given now: the server's clock was stepped back, or another
        server answers, whose clock lags.
        """
        later = now_ms + LEASE_MS + LEEWAY_MS
        pipe = self._redis.pipeline(transaction=False)
        for key in (keys.SLOTS, keys.LEASES):
            pipe.zrangebyscore(key, later, "+inf")
        for key, members in zip((keys.SLOTS, keys.LEASES), pipe.execute(), strict=True):
            if members:
                self._redis.zadd(key, dict.fromkeys(members, now_ms + LEASE_MS), xx=True, lt=True)

    def forget_lease(self, lease: Lease) -> None:
        """Drop a lease whose attempt is not running any more."""
        self._redis.zrem(keys.LEASES, lease.member)
