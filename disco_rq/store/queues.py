"""The nodes' queues of batches, and what else RQ keeps of them. Only this module and ``worker`` know RQ."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from redis import Redis
from redis.client import Pipeline
from redis.exceptions import NoPermissionError
from rq import Queue, Worker
from rq.command import send_stop_job_command
from rq.defaults import RQ_KEY_PREFIX
from rq.exceptions import InvalidJobOperation, NoSuchJobError
from rq.executions import ExecutionRegistry
from rq.job import Job, Retry
from rq.registry import clean_registries
from rq.results import Result

from disco_rq.errors import SettingsError
from disco_rq.packing import Serializer
from disco_rq.planning.assignment import Assignment
from disco_rq.settings import key_prefix, rq_prefix
from disco_rq.store import keys, unreadable
from disco_rq.store.nodes import is_suspended

__all__ = ["RUN_BATCH", "BatchJob", "Call", "Queues", "delete_batch", "node_queue", "put_call", "untended"]

if (_wanted := rq_prefix(os.environ)) != RQ_KEY_PREFIX:
    raise SettingsError(
        f"RQ was imported before disco_rq and its keys begin with {RQ_KEY_PREFIX!r}: "
        f"set RQ_KEY_PREFIX={_wanted} beside DISCO_RQ_PREFIX={key_prefix(os.environ)}"
    )

RUN_BATCH = "disco_rq.worker.run_batch"
RESULT_TTL_S = 60
FAILURE_TTL_S = 4 * 3600


class Call(NamedTuple):
    """A call of a function, in whatever queue, by whatever worker."""

    function: str  # dotted
    queue: str
    args: tuple[Any, ...]
    timeout_s: int | None = None  # None: as the queue has it
    retries: int = 0  # where its worker dies


def untended(redis: Redis, name: str) -> int | None:
    """How much waits in a queue to which no worker listens; 0 if somebody does. None: we may not look."""
    queue = Queue(name, connection=redis)
    try:
        waiting = queue.count
        workers = Worker.all_keys(queue=queue) if waiting else []
        # The list also has those that were killed, whose records have run out.
        return 0 if workers and redis.exists(*workers) else waiting
    except NoPermissionError:
        return None


def put_call(redis: Redis, pipe: Pipeline, call: Call, rq_id: str) -> None:
    """Add to a transaction: the call waits in its queue, as any job that RQ enqueues."""
    data = Queue.prepare_data(
        call.function,
        args=call.args,
        job_id=rq_id,
        timeout=call.timeout_s,
        retry=Retry(max=call.retries) if call.retries else None,
        description=f"{call.function} for {rq_id}",
    )
    Queue(call.queue, connection=redis).enqueue_many([data], pipeline=pipe)


class BatchJob(Job):
    """A batch, as RQ keeps it: an id and arguments.

    Whoever can write to Redis can give it more: callbacks, which RQ would look up and call, in the worker and
    in whoever cleans up; webhooks; retries. None of these is read. A record that makes no sense is no job.
    """

    def restore(self, raw_data: Any) -> None:
        try:
            super().restore(raw_data)
        except Exception as error:  # noqa: BLE001  its numbers and times are anybody's
            raise NoSuchJobError(f"{self.id} cannot be read: {error}") from None
        self._success_callback_name = self._failure_callback_name = self._stopped_callback_name = None
        self.webhooks = []
        self.meta = {}
        self._dependency_ids = []
        self.retries_left = self.repeats_left = None


def node_queue(redis: Redis, node: str) -> Queue:
    """The RQ queue of a node, with our serializer."""
    return Queue(keys.queue(node), connection=redis, serializer=Serializer, job_class=BatchJob)


def delete_batch(redis: Redis, batch_id: str) -> None:
    """Delete it. RQ's own ``Job.delete`` raises, and so ends a master or worker, where somebody else deletes
    the same just now, or a part of it has expired.
    """
    executions = ExecutionRegistry.key_template.format(batch_id)
    redis.delete(Job.key_for(batch_id), Result.get_key(batch_id), executions)


class Queues:
    """Puts batches into the queues of nodes, finds them there, and takes them out."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._queues: dict[str, Queue] = {}

    def put(self, pipe: Pipeline, assignment: Assignment) -> None:
        """Add to a transaction: the batch waits in the queue of its node."""
        attempts = [(str(task), attempt) for task, attempt in assignment.tasks]
        batch_id = assignment.batch_id
        data = Queue.prepare_data(
            RUN_BATCH,
            args=[assignment.job, batch_id, attempts],
            job_id=batch_id,
            timeout=-1,  # the worker holds the job's own task_timeout
            result_ttl=RESULT_TTL_S,
            failure_ttl=FAILURE_TTL_S,
            description=f"{assignment.job} {attempts[0][0]} and {len(attempts) - 1} more",
        )
        self._of(assignment.node).enqueue_many([data], pipeline=pipe)

    def stop(self, batch_id: str) -> None:
        """Stop the worker that runs the batch."""
        # Not started, or through: then its claim will be refused, or there is nothing to stop.
        with contextlib.suppress(NoSuchJobError, InvalidJobOperation):
            send_stop_job_command(self._redis, batch_id, serializer=Serializer)

    def is_suspended(self) -> bool:
        """Whether all workers of this Redis were told to take nothing."""
        return is_suspended(self._redis)

    def remove(self, node: str, batch_id: str) -> None:
        """Take a batch out of the queue of its node: its tasks are for others."""
        queue = self._of(node)
        queue.remove(batch_id)
        queue.intermediate_queue.remove(batch_id)
        delete_batch(self._redis, batch_id)

    def waiting(self, nodes: Iterable[str]) -> set[str]:
        """The batches in the queues of these nodes, in one round trip."""
        pipe = self._redis.pipeline(transaction=False)
        for node in nodes:
            pipe.lrange(self._of(node).key, 0, -1)
        found = unreadable.answers(pipe)
        return {batch_id for batches in found for batch_id in unreadable.names("batch", batches)}

    def clean(self, node: str) -> list[str]:
        """Let RQ clean its registries of the node. Returns the batches that failed: their workers died."""
        queue = self._of(node)
        clean_registries(queue)
        return list(queue.failed_job_registry.get_job_ids(cleanup=False))

    def forget_failed(self, node: str, batch_id: str) -> None:
        """Keep nothing of a batch that failed."""
        self._of(node).failed_job_registry.remove(batch_id)
        delete_batch(self._redis, batch_id)

    def forget(self, nodes: Iterable[str], is_forgotten: Callable[[str], bool]) -> None:
        """Keep nothing of those batches that are through, nor of those whose workers died untold."""
        queues = [self._of(node) for node in nodes]
        pipe = self._redis.pipeline(transaction=False)
        for queue in queues:
            pipe.zrange(queue.finished_job_registry.key, 0, -1)
            pipe.zrange(queue.failed_job_registry.key, 0, -1)
            pipe.lrange(queue.intermediate_queue_key, 0, -1)
        answers = (unreadable.names("batch", batch_ids) for batch_ids in unreadable.answers(pipe))
        for queue in queues:
            for registry in (queue.finished_job_registry, queue.failed_job_registry):
                for batch_id in filter(is_forgotten, next(answers)):
                    registry.remove(batch_id)
                    self._forget(queue, batch_id)
            for batch_id in filter(is_forgotten, next(answers)):
                queue.intermediate_queue.remove(batch_id)
                self._forget(queue, batch_id)

    def _forget(self, queue: Queue, batch_id: str) -> None:
        delete_batch(self._redis, batch_id)
        # A worker that cleaned up may have noted it right after it was through.
        self._redis.delete(queue.intermediate_queue.get_first_seen_key(batch_id))

    def _of(self, node: str) -> Queue:
        if node not in self._queues:
            self._queues[node] = node_queue(self._redis, node)
        return self._queues[node]
