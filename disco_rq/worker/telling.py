"""What RQ is told of a worker and its batches: in few round trips, when nobody waits for them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from rq import Queue, Worker
from rq.exceptions import InvalidJobOperation
from rq.executions import Execution
from rq.job import Job, JobStatus
from rq.utils import now

from disco_rq.machine.titles import tell_title
from disco_rq.store.queues import FAILURE_TTL_S, delete_batch

__all__ = ["Telling", "told_title"]

log = logging.getLogger("disco_rq.worker")

HEARTBEAT_S = 2.0
"""RQ asks for a heartbeat several times a job; more often than this they tell nothing."""


def told_title(worker: Worker, message: str) -> None:  # noqa: ARG001  that would change with each batch
    """``Worker.procline``: what ``ps`` shows is ours, not RQ's message."""
    tell_title(f"worker {worker.name}")


class Telling:
    """RQ's bookkeeping of one worker: what RQ knows, and the end that it is yet to hear of."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._untold: Callable[[], None] | None = None  # tells the end of a short batch
        self._heartbeat_at = -HEARTBEAT_S
        self._state = ""

    @property
    def is_behind(self) -> bool:
        """Whether the end of a batch is still to be told."""
        return self._untold is not None

    def catch_up(self) -> None:
        """Tell of the batch before, while the next one runs or there is none: nobody waits for that."""
        tell, self._untold = self._untold, None
        if tell is not None:
            tell()

    def begin(self, job: Job, queue: Queue) -> Execution:
        """That a batch runs: of a long one, which may be asked for meanwhile."""
        execution = self._worker.prepare_execution(job)
        self._worker.prepare_job_execution(job, remove_from_intermediate_queue=True)
        self._worker.connection.delete(queue.intermediate_queue.get_first_seen_key(job.id))
        return execution

    def end_later(self, job: Job, queue: Queue) -> None:
        """A batch whose beginning was not told is through; ``catch_up`` tells both."""
        self._untold = partial(self.end, job, queue, None)

    def end(self, job: Job, queue: Queue, execution: Execution | None, failure: str = "") -> None:
        """What RQ does at the end of a job, in one round trip: ours have no dependents and no callbacks."""
        worker = self._worker
        job.ended_at = job.ended_at or now()
        if failure:
            if execution is None:
                worker.prepare_job_execution(job, remove_from_intermediate_queue=True)
            worker.handle_job_failure(job, queue, exc_string=failure, execution=execution)
            return
        ttl = job.get_result_ttl(worker.default_result_ttl)
        with worker.connection.pipeline() as pipe:
            pipe.lrem(queue.intermediate_queue_key, 1, job.id)
            # A worker that cleans up may have noted that it saw the job there.
            pipe.delete(queue.intermediate_queue.get_first_seen_key(job.id))
            worker.increment_successful_job_count(pipe)
            worker.increment_total_working_time(job.ended_at - (job.started_at or job.ended_at), pipe)
            job._status = JobStatus.FINISHED
            job._result = None
            job._handle_success(ttl, pipe, worker.name, execution.id if execution else None)
            job.cleanup(ttl, pipe, remove_from_queue=False)
            worker.cleanup_execution(job, pipe, execution)
            pipe.execute()

    def refuse(self, job: Job, queue: Queue) -> None:
        """It is no batch of ours: RQ finds it failed, and nothing of it was looked at."""
        with self._worker.connection.pipeline() as pipe:
            pipe.lrem(queue.intermediate_queue_key, 1, job.id)
            pipe.delete(queue.intermediate_queue.get_first_seen_key(job.id))
            pipe.hset(job.key, "status", JobStatus.FAILED.value)
            pipe.expire(job.key, FAILURE_TTL_S)
            pipe.execute()
        about = {"action": "refuse"}
        log.warning("%r in %s is no batch of disco-rq: nothing of it is run", job.id, queue.name, extra=about)

    def forget(self, job: Job) -> None:
        """The disco job was purged, and this batch stopped for it: RQ need not remember it either."""
        worker = self._worker
        if (execution := worker.execution) is not None:  # begun when the rest was deleted: nobody knows of it
            with worker.connection.pipeline() as pipe:
                worker.cleanup_execution(job, pipe, execution)
                pipe.execute()
        with suppress(InvalidJobOperation, ValueError):  # the master may be at it, too
            job.delete()
        delete_batch(self._worker.connection, job.id)

    def is_heartbeat_due(self) -> bool:
        return time.monotonic() - self._heartbeat_at >= HEARTBEAT_S

    def heartbeat_sent(self) -> None:
        self._heartbeat_at = time.monotonic()

    def knows_state(self, state: str) -> bool:
        """Whether it is the state that RQ was told last."""
        return state == self._state

    def state_sent(self, state: str) -> None:
        self._state = state
