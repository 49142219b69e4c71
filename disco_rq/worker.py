"""The worker: RQ's, with a warm horse, leases of our own, and a place in a node.

It listens to exactly one queue, its node's (``disco.<node>``), so that RQ keeps a popped job safe. What it
runs is ``run_batch``: ids only, the rest is read from Redis by the horse (``execution``).
"""

from __future__ import annotations

import logging
import mmap
import os
import platform
import secrets
import signal
import socket
from resource import struct_rusage
from typing import Any, cast

from redis import Redis
from rq import Queue, Worker
from rq.executions import Execution
from rq.job import Job

from disco_rq import keys
from disco_rq.attemptlog import salvage
from disco_rq.errors import DiscoError
from disco_rq.execution import Executor
from disco_rq.horse import Horse
from disco_rq.leases import LeaseKeeper
from disco_rq.locations import DataDir
from disco_rq.model import TaskId
from disco_rq.packing import Serializer
from disco_rq.runtime import install_names
from disco_rq.settings import Settings
from disco_rq.store.attempts import Attempt, AttemptStore, Failure
from disco_rq.store.connection import Connection, url_of
from disco_rq.store.nodes import NodeStore
from disco_rq.version import __version__

log = logging.getLogger("disco_rq.worker")

WORKER_TTL_S = 20
"""RQ waits for a job this minus 15 s at a time, so a connection that hangs is noticed soon."""
MONITORING_S = 10

_QUEUE_PREFIX = keys.queue("")
_executor: Executor | None = None
_progress: Any = None


def run_batch(job: str, batch: str, tasks: list[list[Any]]) -> None:
    """The function of every RQ job of ours: run the attempts of a batch. ``tasks``: (task, attempt) pairs."""
    if _executor is None:
        raise DiscoError("batches of disco-rq need its own worker: rq worker -w disco_rq.worker.DiscoWorker")
    _executor.run_batch(job, batch, [(task, attempt) for task, attempt in tasks], _progress)


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
        queue = Queue(keys.queue(self.node), connection=connection, serializer=Serializer)
        worker_name = name or f"{self.node}.{os.getpid()}-{secrets.token_hex(3)}"
        super().__init__([queue], worker_name, connection=connection, **options)
        self.log_result_lifespan = False
        self._address = self._settings.redis or url_of(connection)
        self._own = Connection(self._address)
        self._store = AttemptStore(self._own)
        self._nodes = NodeStore(self._own, self.node)
        self._data = DataDir(self._settings.data.absolute())
        self._horse: Horse | None = None
        self._spare: Horse | None = None
        self._died = 0  # wait status of the horse that died in the last job
        self._keeper: LeaseKeeper | None = None

    # -- life

    def register_birth(self) -> None:
        word = self._data.prepare()
        self._data.sweep()
        super().register_birth()  # type: ignore[no-untyped-call]
        self._spare = self._new_horse()
        self._keeper = LeaseKeeper(
            Connection(self._address, patience_s=3.0),
            node=self.node,
            worker=self.name,
            data=self._data,
            overtaken=self.kill_horse,
        )
        self._store.renew(self.node, self.name)
        self._keeper.start()
        self._nodes.register(
            {
                "host": socket.gethostname(),
                "data": str(self._data.root),
                "word": word,
                "python": platform.python_version(),
                "version": __version__,
            }
        )

    def register_death(self) -> None:
        if self._keeper is not None:
            self._keeper.stop()
        for horse in (self._horse, self._spare):
            if horse is not None:
                self._retire(horse)
        self._nodes.drop_slots(self.name)
        super().register_death()  # type: ignore[no-untyped-call]

    # -- RQ's hooks around one job

    def fork_work_horse(self, job: Job, queue: Queue) -> None:  # noqa: ARG002
        disco_job, _, tasks = job.args
        former = self._horse if self._horse is not None and self._horse.job != disco_job else None
        horse = self._horse = self._horse_for(disco_job)
        self._horse_pid = horse.pid
        self._died = 0
        horse.progress[0] = 0
        assert self._keeper is not None
        assert self.execution is not None
        self._keeper.watch(disco_job, [(task, attempt) for task, attempt in tasks], horse.progress)
        horse.start(job.id, self.execution.id)
        # The rest while it works: a process takes milliseconds to end, and as many to fork.
        if former is not None:
            self._retire(former)
        if self._spare is None:
            self._spare = self._new_horse()

    def wait_for_horse(self) -> tuple[int | None, int | None, struct_rusage | None]:
        assert self._horse is not None
        self._died = self._horse.wait()
        return self._horse.pid, self._died, None

    def monitor_work_horse(self, job: Job, queue: Queue, execution: Execution) -> None:
        super().monitor_work_horse(job, queue, execution)
        assert self._keeper is not None
        assert self._horse is not None
        self._keeper.unwatch()
        if self._died:
            self._tell_death(job, self._horse)
        elif self._horse.settle():
            return
        self._retire(self._horse)
        self._horse = None

    def kill_horse(self, sig: signal.Signals = signal.SIGKILL) -> None:
        if self.horse_pid > 0:  # 0 would be our own process group
            super().kill_horse(sig)

    # -- horses

    def _horse_for(self, disco_job: str) -> Horse:
        """A horse bound to this job: the one at hand if it is, else a fresh one."""
        if self._horse is not None and self._horse.job == disco_job:
            return self._horse
        horse, self._spare = self._spare or self._new_horse(), None
        horse.job = disco_job
        return horse

    def _new_horse(self) -> Horse:
        progress = mmap.mmap(-1, mmap.PAGESIZE)  # shared with the child
        return Horse(self._run_in_horse, progress, lambda: self._enter_horse(progress))

    def _enter_horse(self, progress: mmap.mmap) -> None:
        """In the new child: nothing of the parent's connections is used again."""
        global _executor, _progress
        self.setup_work_horse_signals()  # type: ignore[no-untyped-call]
        self._is_horse = True
        self.connection.connection_pool.reset()
        _progress = progress
        _executor = Executor(
            Connection(self._address),
            node=self.node,
            worker=self.name,
            data=self._data,
            master=self._settings.http,
            secret=self._settings.secret,
        )
        _executor.prepare()
        install_names()

    def _run_in_horse(self, rq_job_id: str, execution_id: str) -> None:
        """In the child: perform one RQ job, by RQ's own protocol."""
        job = Job.fetch(rq_job_id, connection=self.connection, serializer=self.serializer)
        execution = Execution.fetch(execution_id, rq_job_id, connection=self.connection)
        execution._job = job
        self.executions = {execution.id: execution}
        self.perform_job(job, self.queues[0], execution)

    def _tell_death(self, job: Job, horse: Horse) -> None:
        """The horse died: the task that it ran has failed, those behind it in the batch are handed back."""
        disco_job, _, tasks = job.args
        failure = Failure(_death(self._died, horse.bury()))
        found = self._store.job(disco_job)
        if found is None:  # purged, and this batch stopped for it: RQ need not remember it either
            job.delete()
            return
        survives = found[0].max_failures
        for i, (task, number) in enumerate(tasks):
            attempt = Attempt(disco_job, task, number, self.node, self.name)
            current = i == horse.progress[0]
            if current:
                salvage(
                    self._data.scratch(self.name, horse.pid).log,
                    self._data.log(disco_job, TaskId.parse(task), number),
                )
            self._store.fail(attempt, "data" if current else "release", failure, survives=survives)

    def _retire(self, horse: Horse) -> None:
        horse.bury()
        self._data.scratch(self.name, horse.pid).remove()


def _death(status: int, usage: struct_rusage | None) -> str:
    """What a wait status says, in words."""
    if os.WIFSIGNALED(status):
        how = f"was killed by {signal.Signals(os.WTERMSIG(status)).name}"
    else:
        how = f"exited with status {os.waitstatus_to_exitcode(status)}"
    peak = f", peak memory {usage.ru_maxrss // 1024} MB" if usage is not None else ""  # Linux counts KiB
    return f"the process of the task {how}{peak}"


def _node_of(queues: Any) -> str:
    """The node whose queue it is. Raises ``DiscoError`` for anything but one queue ``disco.<node>``."""
    listed = queues if isinstance(queues, list | tuple) else [queues]
    names = [queue if isinstance(queue, str) else queue.name for queue in listed]
    if len(names) != 1 or not names[0].startswith(_QUEUE_PREFIX) or names[0] == _QUEUE_PREFIX:
        raise DiscoError(
            f"a DiscoWorker listens to one queue, {_QUEUE_PREFIX}NODE, not to {', '.join(names) or 'none'}"
        )
    return cast(str, names[0].removeprefix(_QUEUE_PREFIX))
