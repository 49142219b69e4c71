"""Addresses of task outputs: ``disco://node/job/file``."""

from __future__ import annotations

import re
from typing import cast

from disco_rq.errors import DataError
from disco_rq.model import JOB_NAME, NODE_NAME, TASK, TaskId, TaskKind

__all__ = [
    "BAD_SUFFIX",
    "job_of",
    "made_at",
    "map_task_of",
    "output_address",
    "output_name",
    "preferred_node",
    "split_address",
    "task_of",
]

_OUTPUT = TASK.pattern.replace(":", "-") + r"\.[0-9]+"
ADDRESS = re.compile(rf"disco://({NODE_NAME.pattern})/({JOB_NAME.pattern})/({_OUTPUT})")


BAD_SUFFIX = ".bad"
"""Of the file beside an attempt's output that holds its bad entries."""


def output_name(task: TaskId, attempt: int) -> str:
    """File name of an attempt's output; its log has ``.log`` behind it."""
    return f"{task.phase}-{task.index}.{attempt}"


def output_address(node: str, job: str, task: TaskId, attempt: int) -> str:
    return f"disco://{node}/{job}/{output_name(task, attempt)}"


def split_address(address: str) -> tuple[str, str, str]:
    """Node, job and file name of an output's address. ``DataError`` for anything else."""
    match = ADDRESS.fullmatch(address)
    if match is None:
        raise DataError("not the address of a task output", url=address)
    return match[1], match[2], match[3]


def job_of(url: str) -> str | None:
    """The job whose output is at an address; None for any other address."""
    match = ADDRESS.fullmatch(url)
    return match[2] if match is not None else None


def made_at(url: str) -> tuple[str, TaskId] | None:
    """The job and the task whose output is at an address; None for any other address."""
    match = ADDRESS.fullmatch(url)
    return (match[2], TaskId(cast("TaskKind", match[4]), int(match[5]))) if match is not None else None


def task_of(job: str, address: str | None) -> TaskId | None:
    """The task of the job whose output is at the address, or None if it is no such output."""
    match = ADDRESS.fullmatch(address or "")
    if match is None or match[2] != job:
        return None
    return TaskId(cast("TaskKind", match[4]), int(match[5]))


def map_task_of(job: str, address: str | None) -> TaskId | None:
    """The map of the job whose output is at the address, or None if it is no such output."""
    task = task_of(job, address)
    return task if task is not None and task.phase == "map" else None


def preferred_node(url: str) -> str | None:
    """The node that holds the file of any ``disco://`` address; None for what every node reads alike."""
    scheme, _, place = url.partition("://")
    if scheme.lower() != "disco":
        return None
    return place.partition("/")[0].partition(":")[0] or None
