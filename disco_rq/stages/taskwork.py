"""What a stage is handed: one attempt of a task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from disco_rq.model import Functions, JobSpec, TaskId

__all__ = ["TaskWork"]


@dataclass(frozen=True, slots=True)
class TaskWork:
    """One attempt of a task, as a worker hands it to a stage."""

    spec: JobSpec
    functions: Functions
    params: Any
    task: TaskId
    scratch: Path  # an empty directory of this attempt, for spills; removed by the caller
    status: Callable[[str], None]  # system event: "100000 entries mapped"
    new_params: Callable[[], Any]  # another copy of them, as the job has it
    memory_bytes: int = 0  # an output no larger than this is the result's ``content``, and no file
