"""What a worker tells of a batch that ends badly: its horse died or broke down, or the worker must leave.

The task that ran has failed; the others of the batch are handed back.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress

from disco_rq.attempt.log import salvage
from disco_rq.attempt.usercode import MESSAGE_MAX_CHARS
from disco_rq.errors import TaskMemoryExceeded
from disco_rq.model import TaskId
from disco_rq.outputs.datadir import DataDir
from disco_rq.redact import redact
from disco_rq.store.attempts import Attempt, AttemptStore, Failure, FailureKind
from disco_rq.worker.batch import Batch
from disco_rq.worker.horse import Horse, death_in_words
from disco_rq.worker.overuse import Excess

__all__ = ["Mishaps"]

log = logging.getLogger("disco_rq.worker")


class Mishaps:
    """Of one worker."""

    def __init__(self, store: AttemptStore, data: DataDir, *, node: str, worker: str) -> None:
        self._store = store
        self._data = data
        self._node = node
        self._worker = worker

    def horse_died(self, batch: Batch, horse: Horse, excess: Excess | None, *, stopped: bool) -> bool:
        """``excess``: the memory for which it was killed, if it was. ``stopped``: the master wanted it.

        False: the job is not known any more.
        """
        overdue = horse.progress.overdue_s > 0
        death = death_in_words(horse.bury(), overdue=overdue, out_of_memory=horse.out_of_memory())
        if stopped:
            death = "it was stopped: its job has ended, or another attempt was first"
        return self._tell(batch, horse, self._too_much_memory(excess) if excess else death, overdue=overdue)

    def horse_broke_down(self, batch: Batch, horse: Horse, report: str) -> None:
        """``report``: the traceback, of our own code: for the operator."""
        log.error("%s: %s", batch.id, redact(report), extra={"action": "breakdown", "job": batch.job})
        *_, last = report.strip().splitlines()
        why = f"the process of the task broke down: {redact(last)[:MESSAGE_MAX_CHARS]}"
        self._tell(batch, horse, why, overdue=False)

    def worker_leaves(self, batch: Batch) -> None:
        """Its tasks are for others, uncounted. What is committed stays as it is."""
        self._hand_back_unclaimed(batch)
        self._release(batch, batch.tasks, "its worker was told to end")

    def _tell(self, batch: Batch, horse: Horse, why: str, *, overdue: bool) -> bool:
        found = self._store.job(batch.job)
        if found is None:
            return False
        self._hand_back_unclaimed(batch)
        spec, running = found[0], horse.progress.index
        self._release(batch, [one for i, one in enumerate(batch.tasks) if i != running], why)
        task, number = batch.tasks[running]
        with suppress(OSError):  # a full disk
            salvage(
                self._data.scratch(self._worker, horse.pid).log,
                self._data.log(batch.job, task, number),
            )
        attempt = Attempt(batch.job, task, number, self._node, self._worker)
        kind: FailureKind = "error" if overdue else "data"
        survives = spec.task_retries if overdue else spec.max_failures
        self._store.fail(attempt, kind, Failure(why), survives=survives)
        return True

    def _hand_back_unclaimed(self, batch: Batch) -> None:
        """Of a small job each task is claimed in its turn."""
        if batch.is_whole_job:
            self._store.unclaim(batch.job, batch.id, batch.tasks)

    def _release(self, batch: Batch, tasks: Sequence[tuple[TaskId, int]], why: str) -> None:
        for task, number in tasks:
            attempt = Attempt(batch.job, task, number, self._node, self._worker)
            self._store.fail(attempt, "release", Failure(why), survives=0)

    def _too_much_memory(self, excess: Excess) -> str:
        return (
            f"{TaskMemoryExceeded.__name__}: the processes of the task held {excess.held_bytes >> 20} MiB, "
            f"more than the {excess.limit_bytes >> 20} MiB that DISCO_RQ_TASK_MEMORY allows "
            f"on node {self._node}"
        )
