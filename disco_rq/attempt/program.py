"""A job as a process knows it that runs its tasks: what its client has signed, unpacked."""

from __future__ import annotations

from dataclasses import dataclass

from disco_rq.attempt.running import TaskInput
from disco_rq.errors import BadSignature
from disco_rq.model import JobSpec, TaskId
from disco_rq.packing import TaskSeal, UnpackedJob
from disco_rq.store.attempts import check_input

__all__ = ["Program"]


@dataclass(frozen=True, slots=True)
class Program:
    """A job as this process knows it."""

    spec: JobSpec
    unpacked: UnpackedJob
    seal: TaskSeal

    def check(self, task: TaskId, task_input: TaskInput) -> None:
        """``BadSignature`` unless the job has this task, and its client has signed that it reads this."""
        spec = self.spec
        reduces = spec.nr_reduces if spec.has_reduce else 0
        tasks = reduces if task.phase == "reduce" else spec.nr_maps
        if not 0 <= task.index < tasks:
            raise BadSignature(f"{spec.name} has no {task}, as its client has signed it")
        if task.phase != "reduce" and task_input == "reduce":
            raise BadSignature(f"input {task.index} of {spec.name} is not there")
        if task_input != "reduce":
            check_input(task_input, task.index, self.seal)
