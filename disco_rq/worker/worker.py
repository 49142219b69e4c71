"""The worker: RQ's, with a warm horse, leases of our own, and a place in a node.

It listens to exactly one queue, its node's (``disco.<node>``), so that RQ keeps a popped job safe. What it
runs is ``run_batch``: ids only, the rest is read from Redis by the horse (``execution``).
"""

from __future__ import annotations

import gc
import logging
import os
import secrets
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from resource import struct_rusage
from typing import Any, cast

from redis import Redis
from rq import Queue, Worker
from rq.exceptions import InvalidJobOperation, StopRequested
from rq.executions import Execution
from rq.job import Job, JobStatus
from rq.utils import now
from rq.worker.base import WorkerStatus

from disco_rq.errors import DiscoError
from disco_rq.machine.orphans import adopt_orphans, end_orphans
from disco_rq.outputs.datadir import DataDir
from disco_rq.packing import Serializer, fingerprints
from disco_rq.runtime import install_names
from disco_rq.settings import Settings
from disco_rq.store import keys
from disco_rq.store.address import url_of
from disco_rq.store.attempts import AttemptStore
from disco_rq.store.clients import open_client
from disco_rq.store.connection import Connection, PatientRetry, load_scripts
from disco_rq.store.jobs import JobStore
from disco_rq.store.nodes import NodeStore
from disco_rq.store.queues import delete_batch
from disco_rq.worker import rehearsal
from disco_rq.worker.execution import Executor
from disco_rq.worker.horse import Horse, Progress, Rehearsed
from disco_rq.worker.leases import LeaseKeeper
from disco_rq.worker.mishaps import Batch, Mishaps
from disco_rq.worker.overuse import OveruseWatch

log = logging.getLogger("disco_rq.worker")

WORKER_TTL_S = 20
"""RQ waits for a job this minus 15 s at a time, so a connection that hangs is noticed soon."""
MONITORING_S = 10
PATIENCE_S = 60.0
"""For how long a worker waits for a Redis that is away: longer than its node, which ends it."""

SHORT_S = 0.05
"""A batch that is through so soon is told to RQ once, at its end; a longer one at its beginning, too."""
HEARTBEAT_S = 2.0
"""RQ asks for a heartbeat several times a job; more often than this they tell nothing."""
TIDY_AFTER_S = 0.02
"""A worker whose queue is empty for so long has time to tell RQ of the batch before, to end one horse and to
fork another. A server at rest looks at what has waited long enough ``hz`` times a second.
"""

_QUEUE_PREFIX = keys.queue("")


def run_batch(job: str, batch: str, tasks: list[list[Any]]) -> None:
    """The function of every RQ job of ours; ``DiscoWorker`` hands its arguments to a horse instead.

    ``tasks``: (task, attempt) pairs.
    """
    raise DiscoError(
        f"{batch} ({len(tasks)} tasks of {job}) needs our worker: rq worker -w disco_rq.worker.DiscoWorker"
    )


class DiscoWorker(Worker):
    """An RQ worker that is one slot of a node. Takes RQ's arguments; the queue ``disco.<node>`` names the
    node.
    """

    def __init__(
        self,
        queues: Any,
        name: str | None = None,
        *,
        connection: Redis | None = None,
        settings: Settings | None = None,
        **options: Any,
    ) -> None:
        if options.get("prepare_for_work") is False:  # RQ builds such ones to look at workers, from `rq info`
            super().__init__(queues, name, connection=connection, **options)
            return
        self._settings = settings or Settings.from_env()
        self.node = _node_of(queues)
        if connection is None:
            raise DiscoError("a DiscoWorker needs a Redis connection")
        options |= {
            "serializer": Serializer,
            "worker_ttl": WORKER_TTL_S,
            "default_worker_ttl": None,
            "job_monitoring_interval": MONITORING_S,
            "log_job_description": False,
        }
        self._address = self._settings.redis or url_of(connection)
        connection = open_client(
            self._address
        )  # RQ's own would go back to a server that is no master any more
        # RQ's worker would give up, and its task with it, at the first error.
        connection.set_retry(PatientRetry(PATIENCE_S))
        queue = Queue(keys.queue(self.node), connection=connection, serializer=Serializer)
        worker_name = name or f"{self.node}.{os.getpid()}-{secrets.token_hex(3)}"
        super().__init__([queue], worker_name, connection=connection, **options)
        self.log_result_lifespan = False
        self._own = Connection(self._address, patience_s=PATIENCE_S, waits_for_memory=True)
        self._store = AttemptStore(self._own)
        self._jobs = JobStore(self._own)
        self._nodes = NodeStore(self._own, self.node)
        self._data = DataDir(self._settings.data.absolute())
        self._horse: Horse | None = None
        self._untold: Callable[[], None] | None = None  # tells RQ the end of a short batch
        self._spare: Horse | None = None
        self._died = 0  # wait status of the horse that died in the last job
        self._was_stopped = False  # it was told to
        self._batch_id = ""
        self._keeper: LeaseKeeper | None = None
        self._mishaps = Mishaps(
            self._store,
            self._data,
            node=self.node,
            worker=self.name,
            task_memory=self._settings.task_memory,
        )
        self._overuse = OveruseWatch(self._settings.task_memory, self.kill_horse)
        self._former: Horse | None = None  # replaced, to be ended when there is time
        self._told_state = ""
        self._heartbeat_at = -HEARTBEAT_S

    # -- life

    def register_birth(self) -> None:
        adopt_orphans()
        self._data.prepare()
        self._data.sweep()
        super().register_birth()  # type: ignore[no-untyped-call]
        # Shared with the horses for good: a collection in one would touch, and so copy, every page.
        load_scripts()
        rehearsal.rehearsed_pack()
        gc.collect()
        gc.freeze()
        self._spare = self._new_horse()
        self._keeper = LeaseKeeper(
            Connection(self._address, patience_s=3.0, waits_for_memory=True),
            node=self.node,
            worker=self.name,
            data=self._data,
            min_free=self._settings.min_free,
            end_horse=self.kill_horse,
        )
        self._store.renew(self.node, self.name)
        self._keeper.start()
        self._overuse.start()
        secret = " ".join(fingerprints(self._settings.secret))
        self._nodes.register(self._data.about() | {"secret": secret})

    def register_death(self) -> None:
        if self._keeper is not None:
            self._keeper.stop()
        self._overuse.stop()
        self._tell_untold()
        for horse in (self._horse, self._spare, self._former):
            if horse is not None:
                self._retire(horse)
        self._nodes.drop_slots(self.name)
        super().register_death()  # type: ignore[no-untyped-call]

    # -- RQ's hooks around one job

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> tuple[Job, Queue] | None:
        if self._untold is not None or not self._is_tidy():
            pause: Any = TIDY_AFTER_S
            found = super().dequeue_job_and_maintain_ttl(pause, pause) if timeout else None
            if found is not None:
                return found
            self._tell_untold()
            self._tidy()
        return super().dequeue_job_and_maintain_ttl(timeout, max_idle_time)

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Hand a batch to the horse. RQ is told of a short one once, when it is through."""
        self._state = WorkerStatus.BUSY  # from here on a signal lets the batch end first
        job.started_at = now()
        job.worker_name = self.name
        batch = Batch(*job.args)
        self.fork_work_horse(job, queue)
        self._tell_untold()
        execution = None
        horse = self._horse
        assert horse is not None
        try:
            if not horse.answers_within(SHORT_S):
                execution = self.prepare_execution(job)
                self.prepare_job_execution(job, remove_from_intermediate_queue=True)
                self.connection.delete(queue.intermediate_queue.get_first_seen_key(job.id))
                self._tidy()
                self._stop_if_over(job)
                self.monitor_work_horse(job, queue, execution)
        except SystemExit:  # RQ's cold shutdown: a second signal
            for signum in (signal.SIGTERM, signal.SIGINT):
                signal.signal(signum, signal.SIG_IGN)  # a third one would find nothing else to end
            assert self._keeper is not None
            self._keeper.unwatch()
            horse.bury()
            self._mishaps.worker_leaves(batch)
            self._tell_end(job, queue, execution, "")
            raise
        self._horse_pid = 0
        assert self._keeper is not None
        self._keeper.unwatch()
        self._overuse.unwatch()
        if self._died:
            peak, stopped = self._overuse.peak, self._was_stopped
            if not self._mishaps.horse_died(batch, horse, self._died, peak, stopped=stopped):
                self._forget_rq_job(job)
            self._dismiss()
        else:
            failure = horse.settle()
            job.ended_at = now()
            if failure:
                self._mishaps.horse_broke_down(batch, horse, failure)
            if execution is None and not failure:
                self._untold = partial(self._tell_end, job, queue, None, "")
            else:
                self._tell_end(job, queue, execution, failure)
            if horse.is_spent:
                self._dismiss()
        self.set_state(WorkerStatus.IDLE)

    def fork_work_horse(self, job: Job, queue: Queue) -> None:  # noqa: ARG002
        batch = Batch(*job.args)
        self._batch_id = batch.id
        horse = self._horse_for(batch.job)
        self._horse_pid = horse.pid
        self._died, self._was_stopped = 0, False
        horse.progress.begin(0)
        assert self._keeper is not None
        self._keeper.watch(batch.job, [(task, attempt) for task, attempt in batch.tasks], horse.progress)
        self._overuse.watch(horse.pid, self._data.scratch(self.name, horse.pid).log)
        horse.start(batch.job, batch.id, batch.tasks)

    def wait_for_horse(self) -> tuple[int | None, int | None, struct_rusage | None]:
        assert self._horse is not None
        self._died = self._horse.wait()
        self._was_stopped = self._stopped_job_id == self._batch_id  # RQ forgets it before we tell
        return self._horse.pid, self._died, None

    def _shutdown(self) -> None:
        """Told to leave. What RQ raises is lost where the signal meets a callback, as of a TLS socket."""
        self._stop_requested = True
        super()._shutdown()  # type: ignore[no-untyped-call]

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        if self._stop_requested and self._state != WorkerStatus.BUSY:
            raise StopRequested  # RQ asks for a heartbeat whenever it has waited for a job in vain
        if pipeline is None:
            if time.monotonic() - self._heartbeat_at < HEARTBEAT_S:
                return
            with self.connection.pipeline(transaction=False) as pipe:
                super().heartbeat(timeout, pipe)
                pipe.execute()
        else:
            super().heartbeat(timeout, pipeline)
        self._heartbeat_at = time.monotonic()

    def set_state(self, state: str, pipeline: Any = None) -> None:
        if pipeline is None and state == self._told_state:
            self._state = state
        else:
            super().set_state(state, pipeline)
            self._told_state = state

    def _stop_if_over(self, job: Job) -> None:
        """Who ended the disco job before RQ knew of this batch could not stop it."""
        if self._jobs.statuses([job.args[0]])[0] != "active":
            self._stopped_job_id = job.id
            self.kill_horse()

    def _tell_end(self, job: Job, queue: Queue, execution: Execution | None, failure: str) -> None:
        """What RQ does at the end of a job, in one round trip: ours have no dependents and no callbacks."""
        job.ended_at = job.ended_at or now()
        if failure:
            if execution is None:
                self.prepare_job_execution(job, remove_from_intermediate_queue=True)
            self.handle_job_failure(job, queue, exc_string=failure, execution=execution)
            return
        assert job.started_at is not None
        ttl = job.get_result_ttl(self.default_result_ttl)
        with self.connection.pipeline() as pipe:
            pipe.lrem(queue.intermediate_queue_key, 1, job.id)
            # A worker that cleans up may have noted that it saw the job there.
            pipe.delete(queue.intermediate_queue.get_first_seen_key(job.id))
            self.increment_successful_job_count(pipe)
            self.increment_total_working_time(job.ended_at - job.started_at, pipe)
            job._status = JobStatus.FINISHED
            job._result = None
            job._handle_success(ttl, pipe, self.name, execution.id if execution else None)
            job.cleanup(ttl, pipe, remove_from_queue=False)
            self.cleanup_execution(job, pipe, execution)
            pipe.execute()

    def _tell_untold(self) -> None:
        """Tell RQ of the batch before, while the next one runs or there is none: nobody waits for that."""
        tell, self._untold = self._untold, None
        if tell is not None:
            tell()

    def kill_horse(self, sig: signal.Signals = signal.SIGKILL) -> None:
        if self.horse_pid > 0:  # 0 would be our own process group
            super().kill_horse(sig)

    # -- horses

    def _horse_for(self, disco_job: str) -> Horse:
        """A horse bound to this job: the one at hand if it is, else a fresh one."""
        if self._horse is not None:
            if self._horse.job == disco_job and self._horse.is_alive():
                return self._horse
            self._dismiss()
        self._bury_dead_spare()
        horse, self._spare = self._spare or self._new_horse(), None
        horse.job = disco_job
        self._horse = horse
        return horse

    def _new_horse(self) -> Horse:
        progress = Progress()
        # Connected here, used there: what a forked process touches first costs it several times as much.
        connection = Connection(self._address, patience_s=PATIENCE_S, waits_for_memory=True)
        connection.line.open()
        horse = Horse(lambda: self._enter_horse(connection, progress), progress)
        connection.line.give_away()
        return horse

    def _enter_horse(self, connection: Connection, progress: Progress) -> Rehearsed:
        """In the new child, which uses none of its parent's connections but the one that it was given."""
        self.setup_work_horse_signals()  # type: ignore[no-untyped-call]
        self._is_horse = True
        executor = Executor(
            connection,
            node=self.node,
            worker=self.name,
            data=self._data,
            secret=self._settings.secret,
            progress=progress,
        )
        executor.prepare()
        install_names()
        return executor.run_batch, executor.rehearse

    def _dismiss(self) -> None:
        """The horse at hand is not used again. It ends when there is time: that takes milliseconds."""
        self._retire_former()
        self._former, self._horse = self._horse, None

    def _is_tidy(self) -> bool:
        return self._former is None and self._spare is not None and self._spare.is_alive()

    def _tidy(self) -> None:
        """End the former horse, and fork a spare one."""
        self._retire_former()
        self._bury_dead_spare()
        gc.collect()  # nearly free after the freeze; else connections of many former horses pile up
        if self._spare is None:
            self._spare = self._new_horse()

    def _bury_dead_spare(self) -> None:
        """A horse that was killed while it waited must not get a batch: nobody would claim its tasks."""
        if self._spare is not None and not self._spare.is_alive():
            dead, self._spare = self._spare, None
            self._retire(dead)

    def _retire_former(self) -> None:
        former, self._former = self._former, None
        if former is not None:
            self._retire(former)

    def _forget_rq_job(self, job: Job) -> None:
        """The disco job was purged, and this batch stopped for it: RQ need not remember it either."""
        with suppress(InvalidJobOperation, ValueError):  # the master may be at it, too
            job.delete()
        delete_batch(self.connection, job.id)

    def _retire(self, horse: Horse) -> None:
        """End a horse and all that its tasks have started, and delete its scratch files."""
        horse.bury()
        kept = (self._horse, self._spare, self._former)
        ours = {one.pid for one in kept if one is not None and one is not horse}
        # The scheduler of `rq worker --with-scheduler` is a child, too.
        if self.scheduler is not None and self.scheduler._process is not None:
            ours.add(self.scheduler._process.pid)
        end_orphans(spare=ours)
        self._data.scratch(self.name, horse.pid).remove()


def _node_of(queues: Any) -> str:
    """The node whose queue it is. Raises ``DiscoError`` for anything but one queue ``disco.<node>``."""
    listed = queues if isinstance(queues, list | tuple) else [queues]
    names = [queue if isinstance(queue, str) else queue.name for queue in listed]
    if len(names) != 1 or not names[0].startswith(_QUEUE_PREFIX) or names[0] == _QUEUE_PREFIX:
        raise DiscoError(
            f"a DiscoWorker listens to one queue, {_QUEUE_PREFIX}NODE, not to {', '.join(names) or 'none'}"
        )
    return cast(str, names[0].removeprefix(_QUEUE_PREFIX))
