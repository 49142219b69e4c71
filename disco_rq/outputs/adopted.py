"""Outputs of other jobs that count as those of a job's own tasks: a retry keeps what was committed before.

Which task of which job stands for which of its own is a part of the job's spec, and so signed: whoever can
write to Redis can have no other output read. Tasks that follow one another take one entry.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from disco_rq.model import PHASES, JobSpec, TaskId
from disco_rq.outputs.addresses import made_at

__all__ = ["ADOPTS", "Adopted", "Run", "output_task", "runs_of"]

ADOPTS = "adopts"
"""In the details of a spec: job -> phase -> runs."""


class Run(NamedTuple):
    """``length`` tasks from ``first`` on, and the tasks of the other job from ``source`` on, one for each."""

    first: int
    source: int
    length: int


def runs_of(tasks: Iterable[tuple[int, int]]) -> list[Run]:
    """The runs of (index here, index there), given in ascending order."""
    runs: list[Run] = []
    for here, there in tasks:
        if runs and (here - runs[-1].first, there - runs[-1].source) == (runs[-1].length,) * 2:
            runs[-1] = runs[-1]._replace(length=runs[-1].length + 1)
        else:
            runs.append(Run(here, there, 1))
    return runs


class Adopted:
    """What one job has adopted."""

    def __init__(self, spec: JobSpec) -> None:
        """``spec``: as its client has signed it."""
        self._job = spec.name
        told: Mapping[str, Mapping[str, Sequence[Sequence[Any]]]] = spec.details.get(ADOPTS) or {}
        self.jobs = list(told)
        """Whose outputs these are."""
        self._here: dict[tuple[str, str], dict[int, int]] = {
            (job, phase): {
                source + i: first + i for first, source, length in runs.get(phase, ()) for i in range(length)
            }
            for job, runs in told.items()
            for phase in PHASES
        }

    def task_at(self, address: str | None) -> TaskId | None:
        """The task whose output may lie at an address; None: none of this job's."""
        made = made_at(address or "")
        if made is None:
            return None
        job, theirs = made
        if job == self._job:
            return theirs
        here = self._here.get((job, theirs.phase), {}).get(theirs.index)
        return None if here is None else TaskId(theirs.phase, here)


def output_task(spec: JobSpec, address: str | None) -> TaskId | None:
    """The same, for who asks once."""
    return Adopted(spec).task_at(address)
