"""Why attempts failed and jobs are dead: the words of a history, and the cause that a job's hash keeps.

The scripts ``fail_attempt.lua``, ``lose_output.lua`` and ``kill_job.lua`` write the same, since there it is
part of their transition.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from disco_rq.model import TaskId
from disco_rq.store import unreadable

__all__ = ["cause_of", "death_text", "failure_text", "killed"]


_NEEDED = {"message", "task", "node", "attempt"}


def failure_text(task: TaskId, attempt: int, node: str, message: str) -> str:
    """A failed attempt in one line."""
    return f"Task {task} failed (attempt {attempt} on {node}): {message}"


def death_text(why: str) -> str:
    """The end of a job that is dead, in one line: ``why`` is that of its last failure, say."""
    return f"Job is dead. {why}"


def killed(why: str) -> str:
    """The cause of a job that no task brought to its end, as a job's hash keeps it."""
    return json.dumps({"message": why, "task": "", "node": "", "attempt": 0, "traceback": "", "url": ""})


def cause_of(fields: Mapping[str, str]) -> dict[str, Any] | None:
    """Why a job is dead, of the fields of its hash; None if it is not.

    ``message``, ``task`` ("" if it was killed), ``attempt``, ``node``, ``traceback``, ``url``, and of a task
    its ``failures``.
    """
    told = fields.get("cause")
    if not told:
        return None
    cause = unreadable.read("the cause of a death,", told, lambda text: dict(json.loads(text)))
    if cause is None or not cause.keys() >= _NEEDED:
        return dict(json.loads(killed("its cause cannot be read: the record is altered")))
    return cause
