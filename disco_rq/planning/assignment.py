"""What the planner answers: a batch of attempts for a node, and its name."""

from __future__ import annotations

from dataclasses import dataclass

from disco_rq.model import TaskId


@dataclass(frozen=True, slots=True)
class Assignment:
    """Put these attempts, of one job, into the queue of a node as one batch."""

    job: str
    node: str
    tasks: tuple[tuple[TaskId, int], ...]  # (task, attempt)
    tag: str  # of the planner: two masters may assign the same attempt, one of them in vain
    copy_of: int = 0  # the attempt that lags, if it is a copy of one; then there is one task
    why: str = ""  # there is a copy, for the history

    @property
    def batch_id(self) -> str:
        """Unique, since a master assigns its first attempt once."""
        task, attempt = self.tasks[0]
        return f"{rq_name(self.job)}_{task.phase}-{task.index}_{attempt}-{self.tag}"


def rq_name(job: str) -> str:
    """The job's name in the ids of its batches, of letters, digits, ``_`` and ``-``, as RQ asks."""
    return job.replace("@", "-")


def job_of_batch(batch_id: str) -> str:
    """The ``rq_name`` of the job to which a batch belongs."""
    return batch_id.rsplit("_", 2)[0]
