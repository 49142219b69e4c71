"""What the maps of a pilot did, for whoever tells of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from disco_rq.model import TaskId
from disco_rq.store import keys, unreadable
from disco_rq.store.connection import Connection
from disco_rq.store.taskstate import TaskState, attempt_field

__all__ = ["done_maps"]


def done_maps(connection: Connection, name: str, indices: Sequence[int]) -> dict[int, dict[str, Any]]:
    """How the attempts ended that count, of those of the maps that are done."""
    job = keys.JobKeys(name)
    fields = [str(TaskId("map", index)) for index in indices]
    found: Any = unreadable.answer(lambda: connection.redis.hmget(job.tasks, fields)) or []
    states = [unreadable.read("task", text, TaskState.parse) if text else None for text in found]
    done = {
        index: attempt_field(TaskId("map", index), state.attempt)
        for index, state in zip(indices, states, strict=False)
        if state is not None and state.state == "done"
    }
    if not done:
        return {}
    records: Any = unreadable.answer(lambda: connection.redis.hmget(job.attempts, list(done.values()))) or []
    told = [unreadable.read("an attempt", text, json.loads) if text else None for text in records]
    return {
        index: one
        for index, one in zip(done, told, strict=False)
        if isinstance(one, dict) and one.keys() >= {"started", "ended"}
    }
