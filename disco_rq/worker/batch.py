"""A batch: the attempts that one RQ job brings to a worker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from rq.job import Job

from disco_rq.errors import DiscoError
from disco_rq.model import JOB_NAME, TaskId
from disco_rq.store.queues import RUN_BATCH

__all__ = ["Batch", "batch_of", "is_whole_job", "run_batch"]


class Batch(NamedTuple):
    """The arguments of the RQ job."""

    job: str
    id: str
    tasks: Sequence[tuple[TaskId, int]]

    @property
    def is_whole_job(self) -> bool:
        """Whether it has the maps and the reduces of a small job, of which each is claimed in its turn."""
        return is_whole_job(self.tasks)


def is_whole_job(tasks: Sequence[tuple[TaskId, int]]) -> bool:
    """The same of a batch's tasks."""
    return tasks[0][0].phase != tasks[-1][0].phase


def batch_of(job: Job) -> Batch | None:
    """The batch that an RQ job brings; None if it is none: whoever can write to Redis can put any job there.

    Its function is never looked up, whatever its name.
    """
    try:
        if job.func_name != RUN_BATCH or job.instance is not None or job.kwargs:
            return None
        name, batch_id, listed = job.args
        tasks = [(TaskId.parse(task), attempt) for task, attempt in listed]
    except Exception:  # noqa: BLE001  what it holds is anybody's
        return None
    is_ours = (
        isinstance(name, str)
        and JOB_NAME.fullmatch(name) is not None
        and isinstance(batch_id, str)
        and bool(tasks)
        and all(type(attempt) is int and attempt > 0 for _, attempt in tasks)
    )
    return Batch(name, batch_id, tasks) if is_ours else None


def run_batch(job: str, batch: str, tasks: list[list[Any]]) -> None:
    """The function of every RQ job of ours; ``DiscoWorker`` hands its arguments to a horse instead.

    ``tasks``: (task, attempt) pairs.
    """
    raise DiscoError(
        f"{batch} ({len(tasks)} tasks of {job}) needs our worker: rq worker -w disco_rq.worker.DiscoWorker"
    )
