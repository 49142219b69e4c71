"""A batch: the attempts that one RQ job brings to a worker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from disco_rq.errors import DiscoError

__all__ = ["Batch", "run_batch"]


class Batch(NamedTuple):
    """The arguments of the RQ job."""

    job: str
    id: str
    tasks: Sequence[tuple[str, int]]


def run_batch(job: str, batch: str, tasks: list[list[Any]]) -> None:
    """The function of every RQ job of ours; ``DiscoWorker`` hands its arguments to a horse instead.

    ``tasks``: (task, attempt) pairs.
    """
    raise DiscoError(
        f"{batch} ({len(tasks)} tasks of {job}) needs our worker: rq worker -w disco_rq.worker.DiscoWorker"
    )
