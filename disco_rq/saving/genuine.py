"""Which of the addresses that Redis tells for a job's outputs may be acted upon."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

from disco_rq.errors import BadSignature
from disco_rq.model import JobSpec, TaskId
from disco_rq.outputs.addresses import task_of
from disco_rq.outputs.adopted import output_task
from disco_rq.redact import redact
from disco_rq.saving.parts import is_part_of
from disco_rq.saving.reading import is_saved

__all__ = ["check_outputs", "genuine_parts"]


def check_outputs(job: str, outputs: Mapping[TaskId, str], spec: Callable[[], JobSpec]) -> None:
    """``BadSignature`` for an address (by task) at which no attempt of that task leaves its output: whoever
    can write to Redis could have anything read, renamed or deleted.

    ``spec``: the job's, as its client has signed it. Asked where results are saved, or another job's.
    """
    asked = cache(spec)
    for task, address in outputs.items():
        if not _is_genuine(job, task, address, asked):
            raise BadSignature(f"{redact(address)} is not an output of {task} of {job}")


def genuine_parts(job: str, outputs: Mapping[TaskId, str], spec: Callable[[], JobSpec]) -> list[str]:
    """The addresses of saved results, without those that ``check_outputs`` refuses, or all if the spec is
    not as its client has signed it.
    """
    asked = cache(spec)
    try:
        return [
            address
            for task, address in outputs.items()
            if is_saved(address) and _is_genuine(job, task, address, asked)
        ]
    except BadSignature:
        return []


def _is_genuine(job: str, task: TaskId, address: str, spec: Callable[[], JobSpec]) -> bool:
    if is_saved(address):
        return is_part_of(spec(), task, address)
    return task_of(job, address) == task or output_task(spec(), address) == task
