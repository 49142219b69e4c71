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
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from resource import struct_rusage
from typing import TYPE_CHECKING, Any

from redis import Redis
from rq import Queue, Worker, worker_registration
from rq.exceptions import StopRequested
from rq.executions import Execution as RqExecution
from rq.job import Job
from rq.utils import now
from rq.worker.base import WorkerStatus

from disco_rq.attempt.place import Place
from disco_rq.errors import DiscoError
from disco_rq.machine.about import about_node
from disco_rq.machine.hashseed import HASH_SEED, NAME, has_hash_seed
from disco_rq.machine.hiding import forget, hide_secret
from disco_rq.machine.orphans import adopt_orphans
from disco_rq.machine.tracing import check_installed
from disco_rq.model import LEASE_S
from disco_rq.outputs.datadir import DataDir
from disco_rq.outputs.locator import Locator
from disco_rq.packing import Serializer, fingerprints
from disco_rq.runtime import install_names
from disco_rq.settings import Settings
from disco_rq.store import keys
from disco_rq.store.address import url_of
from disco_rq.store.attempts import AttemptStore
from disco_rq.store.clients import open_client
from disco_rq.store.connection import Connection, PatientRetry, load_scripts
from disco_rq.store.jobs import JobStore
from disco_rq.store.nodes import NodeStore, node_about
from disco_rq.store.queues import BatchJob
from disco_rq.worker import rehearsal
from disco_rq.worker.batch import Batch, batch_of
from disco_rq.worker.execution import Execution
from disco_rq.worker.finished import Finished
from disco_rq.worker.horse import MAX_SENDING_S, Horse, Progress, Rehearsed
from disco_rq.worker.latecommits import LateCommits
from disco_rq.worker.leases import LeaseKeeper
from disco_rq.worker.membership import join_cluster
from disco_rq.worker.mishaps import Mishaps
from disco_rq.worker.naming import checked, node_of
from disco_rq.worker.overuse import OveruseWatch
from disco_rq.worker.stable import Stable
from disco_rq.worker.telling import Telling, told_title

if TYPE_CHECKING:
    from disco_rq.worker.tracing import AttemptTraces

log = logging.getLogger("disco_rq.worker")

WORKER_TTL_S = 20
"""RQ waits for a job this minus 15 s at a time, so a connection that hangs is noticed soon."""
CONNECTION_TIMEOUT_S = int(LEASE_S) - 1
"""Longer than RQ has the server wait, shorter than a lease: one whose clock is stepped back waits on."""
MONITORING_S = 10
REDIS_PATIENCE_S = 60.0
"""For how long a worker waits for a Redis that is away: longer than its node, which ends it."""
LEASE_PATIENCE_S = 3.0
"""The same of the thread that renews leases: those run out meanwhile, and the others may know it."""

SHORT_S = 0.05
"""A batch that is through so soon is told to RQ once, at its end; a longer one at its beginning, too."""
TIDY_AFTER_S = 0.02
"""A worker whose queue is empty for so long has time to tell RQ of the batch before, to end one horse and to
fork another. A server at rest looks at what has waited long enough ``hz`` times a second.
"""

_RQ_OPTIONS = {
    "serializer": Serializer,
    "job_class": BatchJob,
    "worker_ttl": WORKER_TTL_S,
    "default_worker_ttl": None,
    "job_monitoring_interval": MONITORING_S,
    "log_job_description": False,
}


@dataclass(slots=True)
class Ride:
    """A batch on its horse."""

    batch: Batch
    horse: Horse
    died: bool = False
    failure: str = ""  # of the batch as a whole
    was_stopped: bool = False  # it died because it was told to

    def spread(self, store: AttemptStore) -> None:
        """It takes long. Of a job that was thought to be small, the tasks that wait are for other slots."""
        batch, progress = self.batch, self.horse.progress
        if batch.is_whole_job:
            progress.want_back(True)
            store.unclaim(batch.job, batch.id, batch.tasks[progress.index + 1 :])

    @property
    def is_through(self) -> bool:
        """Whether it was all there is of its job."""
        progress = self.horse.progress
        is_at_end = progress.index == len(self.batch.tasks) - 1
        return self.batch.is_whole_job and is_at_end and not progress.is_wanted_back


class DiscoWorker(Worker):
    """An RQ worker that is one slot of a node. Takes RQ's arguments; the queue ``disco.<node>`` names the
    node.

    What it overrides are RQ's hooks; what they share is ``Stable``, ``Telling``, ``LeaseKeeper`` and
    ``Mishaps``.
    """

    connection_timeout = CONNECTION_TIMEOUT_S
    procline = told_title
    _ride: Ride
    """The batch that runs, or the one before; RQ asks for it only while there is one."""
    _about: dict[str, str]
    """What its node tells of itself; where its files are served, the node's own program adds."""

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
        hide_secret()
        self.node = node_of(queues)
        if connection is None:
            raise DiscoError("a DiscoWorker needs a Redis connection")
        self._address = self._settings.redis or url_of(connection)
        # RQ's own would go back to a server that is no master any more, and would give up, and its task with
        # it, at the first error.
        connection = open_client(self._address)
        connection.set_retry(PatientRetry(REDIS_PATIENCE_S))
        queue = Queue(keys.queue(self.node), connection=connection, serializer=Serializer, job_class=BatchJob)
        worker_name = checked(name or f"{self.node}.{os.getpid()}-{secrets.token_hex(3)}")
        super().__init__([queue], worker_name, connection=connection, **options | _RQ_OPTIONS)
        self.log_result_lifespan = False
        _warn_of_hash_seed(self.log)
        self._own = own = self._connect()
        self._store, self._jobs = AttemptStore(own), JobStore(own)
        self._nodes = NodeStore(own, self.node)
        check_installed(wanted=self._settings.otel)
        self._data = DataDir(self._settings.data.absolute())
        self._telling = Telling(self)
        self._stable = Stable(
            self._data, self.name, connect=self._connect, enter=self._enter_horse, others=self._schedulers
        )
        self._mishaps = Mishaps(self._store, self._data, node=self.node, worker=self.name)
        self._overuse = OveruseWatch(self._settings.task_memory, self.kill_horse)
        self._place = _place_of(self.name, self.node, self._data, own, fsync=self._settings.fsync)
        self._late = LateCommits(self._connect(), self._place)
        self._keeper = LeaseKeeper(
            Connection(self._address, patience_s=LEASE_PATIENCE_S, waits_for_memory=True),
            node=self.node,
            worker=self.name,
            data=self._data,
            min_free=self._settings.min_free,
            end_horse=self.kill_horse,
            about=lambda: self._about,
        )

    def _connect(self) -> Connection:
        return Connection(self._address, patience_s=REDIS_PATIENCE_S, waits_for_memory=True)

    # -- life

    def register_birth(self) -> None:
        adopt_orphans()
        word = self._data.prepare()
        self._signer = join_cluster(self._own, self._data, self._settings.secret)
        self._data.sweep(self.name)
        super().register_birth()  # type: ignore[no-untyped-call]
        # Shared with the horses for good: a collection in one would touch, and so copy, every page.
        load_scripts()
        self._traces = _traces_of(self.node) if self._settings.otel else None
        rehearsal.rehearse_ahead(self._store, self._place)
        gc.collect()
        gc.freeze()
        self._stable.tidy()
        self._store.renew(self.node, self.name)
        secret = " ".join(fingerprints(self._settings.secret))
        self._about = about_node(self._data.root, word) | {"secret": secret}
        self._nodes.register(self._about)
        self._keeper.start()
        self._overuse.start()
        self._late.start()

    def _is_forgotten(self) -> bool:
        """Whether Redis has lost that this worker was born: RQ would list it no more."""
        return not self.connection.hexists(self.key, "birth")

    def register_death(self) -> None:
        self._keeper.stop()
        self._overuse.stop()
        self._late.stop()
        self._telling.catch_up()
        self._stable.close()
        self._nodes.drop_slots(self.name, good_bye=True)
        super().register_death()  # type: ignore[no-untyped-call]

    # -- RQ's hooks around one job

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> tuple[Job, Queue] | None:
        if self._telling.is_behind or not self._stable.is_tidy():
            pause: Any = TIDY_AFTER_S
            may_wait = timeout and not self._stable.is_empty
            found = super().dequeue_job_and_maintain_ttl(pause, pause) if may_wait else None
            if found is not None:
                return found
            self._telling.catch_up()
            self._stable.tidy()
        return super().dequeue_job_and_maintain_ttl(timeout, max_idle_time)

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Hand a batch to the horse. RQ is told of a short one once, when it is through."""
        self._state = WorkerStatus.BUSY  # from here on a signal lets the batch end first
        job.started_at = now()
        job.worker_name = self.name
        batch = batch_of(job)
        if batch is None:
            self._telling.catch_up()
            self._telling.refuse(job, queue)
            self.set_state(WorkerStatus.IDLE)
            return
        ride = self._start(batch)
        self._telling.catch_up()
        execution = None
        try:
            while True:
                if not _is_short(ride, self._late):
                    if execution is None:
                        ride.spread(self._store)
                        execution = self._telling.begin(job, queue)
                        self._stable.tidy()
                        self._stop_if_over(job)
                    self.monitor_work_horse(job, queue, execution)
                if not (rest := self._settle(ride)):
                    break
                ride = self._start(rest)
                if self._stopped_job_id == job.id:  # while there was no horse to be stopped
                    self.kill_horse()
        except SystemExit:  # RQ's cold shutdown: a second signal
            for signum in (signal.SIGTERM, signal.SIGINT):
                signal.signal(signum, signal.SIG_IGN)  # a third one would find nothing else to end
            self._unwatch()
            ride.horse.bury()
            self._late.finish(ride.horse.finished)
            self._mishaps.worker_leaves(ride.batch)
            self._telling.end(job, queue, execution)
            raise
        self._horse_pid = 0
        self._unwatch()
        if ride.died:
            self._horse_died(ride, job)
        else:
            self._batch_ended(ride, job, queue, execution)
        self.set_state(WorkerStatus.IDLE)

    def _start(self, batch: Batch) -> Ride:
        horse = self._stable.horse_for(batch.job)
        horse.progress.begin(0)
        horse.progress.want_back(False)
        self._ride = ride = Ride(batch, horse)
        self._horse_pid = horse.pid
        self._keeper.watch(batch.job, batch.tasks, horse.progress)
        self._overuse.watch(horse, self._data.scratch(self.name, horse.pid), batch.job, batch.tasks)
        horse.start(batch.job, batch.id, batch.tasks)
        return ride

    def _unwatch(self) -> None:
        self._keeper.unwatch()
        self._overuse.unwatch()
        self._late.unwatch()

    def _settle(self, ride: Ride) -> Batch | None:
        """What its horse has left of the batch for another one."""
        if ride.died:
            return None
        ride.failure = ride.horse.settle()
        if not ride.horse.has_left_rest:
            return None
        self._unwatch()
        self._horse_pid = 0
        self._stable.end()
        return ride.batch._replace(tasks=ride.batch.tasks[ride.horse.progress.index + 1 :])

    def _horse_died(self, ride: Ride, job: Job) -> None:
        self._late.finish(ride.horse.finished)
        excess, stopped = self._overuse.excess, ride.was_stopped
        if not self._mishaps.horse_died(ride.batch, ride.horse, excess, stopped=stopped):
            self._telling.forget(job)
        self._stable.end()

    def _batch_ended(self, ride: Ride, job: Job, queue: Queue, execution: RqExecution | None) -> None:
        failure = ride.failure
        job.ended_at = now()
        if failure:
            self._late.finish(ride.horse.finished)
            self._mishaps.horse_broke_down(ride.batch, ride.horse, failure)
        if execution is None and not failure:
            self._telling.end_later(job, queue)
        else:
            self._telling.end(job, queue, execution, failure)
        if ride.horse.is_spent:
            self._stable.end()
        elif ride.is_through:
            self._stable.dismiss()

    def wait_for_horse(self) -> tuple[int | None, int | None, struct_rusage | None]:
        ride = self._ride
        status = ride.horse.wait()
        ride.died = status != 0
        ride.was_stopped = self._stopped_job_id == ride.batch.id  # RQ forgets it before we tell
        return ride.horse.pid, status, None

    def _shutdown(self) -> None:
        """Told to leave. What RQ raises is lost where the signal meets a callback, as of a TLS socket."""
        self._stop_requested = True
        if self.horse_pid > 0:  # of a small job the task that runs may end, the others are for others
            self._ride.horse.progress.want_back(True)
        super()._shutdown()  # type: ignore[no-untyped-call]

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        if self._stop_requested and self._state != WorkerStatus.BUSY:
            raise StopRequested  # RQ asks for a heartbeat whenever it has waited for a job in vain
        if pipeline is None:
            if not self._telling.is_heartbeat_due():
                return
            with self.connection.pipeline(transaction=False) as pipe:
                if self._is_forgotten():
                    pipe.hset(self.key, mapping=self.serialize())
                    worker_registration.register(self, pipe)
                super().heartbeat(timeout, pipe)
                pipe.execute()
        else:
            super().heartbeat(timeout, pipeline)
        self._telling.heartbeat_sent()

    def set_state(self, state: str, pipeline: Any = None) -> None:
        if pipeline is None and self._telling.knows_state(state):
            self._state = state
        else:
            super().set_state(state, pipeline)
            self._telling.state_sent(state)

    def kill_horse(self, sig: signal.Signals = signal.SIGKILL) -> None:
        """Not one whose tasks have run, and which sends their spans: it answers soon."""
        if self.horse_pid > 0 and not self._ride.horse.progress.is_sending:  # 0: our own process group
            super().kill_horse(sig)

    def _stop_if_over(self, job: Job) -> None:
        """Who ended the disco job before RQ knew of this batch could not stop it."""
        if self._jobs.statuses([job.args[0]])[0] != "active":
            self._stopped_job_id = job.id
            self.kill_horse()

    # -- for the stable

    def _enter_horse(self, connection: Connection, progress: Progress, finished: Finished) -> Rehearsed:
        """In the new child, which uses none of its parent's connections but the one that it was given."""
        self.setup_work_horse_signals()  # type: ignore[no-untyped-call]
        self._is_horse = True
        executor = Execution(
            connection,
            node=self.node,
            worker=self.name,
            data=self._data,
            signer=self._signer,
            progress=progress,
            finished=finished,
            settings=self._settings,
            forget_secret=partial(forget, self._settings.secret),
            traces=self._traces,
        )
        executor.prepare()
        install_names()
        return executor.run_batch, executor.rehearse

    def _schedulers(self) -> set[int]:
        """The scheduler of ``rq worker --with-scheduler`` is a child, too."""
        if self.scheduler is None or self.scheduler._process is None:
            return set()
        return {self.scheduler._process.pid}


def _traces_of(node: str) -> Callable[[], AttemptTraces]:
    from disco_rq.worker.tracing import traces_of  # of an extra, that only this imports

    return traces_of(node)


def _warn_of_hash_seed(log: logging.Logger) -> None:
    if not has_hash_seed():
        log.warning(
            "start workers with %s=%s, as 'disco-rq node' does: otherwise hash() differs between them",
            *(NAME, HASH_SEED),
        )


def _is_short(ride: Ride, late: LateCommits) -> bool:
    """Whether the batch is through at once; if not, ``late`` sees to it that what is done counts."""
    if ride.horse.answers_within(SHORT_S):
        return True
    if ride.horse.progress.is_sending:
        if ride.horse.answers_within(MAX_SENDING_S):
            return True
        log.warning("spans of %s are lost: no collector answers", ride.batch.job, extra={"action": "trace"})
    if len(ride.batch.tasks) > 1:
        late.watch(ride.horse.finished)
    return False


def _place_of(worker: str, node: str, data: DataDir, connection: Connection, *, fsync: bool) -> Place:
    """Of a worker itself: it runs no attempts and fetches nothing, but may commit what its horse has done."""
    locator = Locator(lambda other: node_about(connection, other), own=(node, data.root), secret=None)
    return Place(node, data, data.scratch(worker, os.getpid()), locator, fsync=fsync)
