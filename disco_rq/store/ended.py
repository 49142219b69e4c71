"""A job that has ended, as a trace tells it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgpack

from disco_rq.machine.tracing import TRACEPARENT
from disco_rq.model import JobSpec
from disco_rq.store import keys, unreadable
from disco_rq.store.connection import Connection
from disco_rq.store.deaths import cause_of

__all__ = ["EndedJob", "ended_job"]

MOST_FAILURES = 100


class EndedJob(NamedTuple):
    name: str
    fields: Mapping[str, str]  # of its hash
    traceparent: Any
    failures: Sequence[Mapping[str, Any]]  # those that counted, each with its task

    @property
    def status(self) -> str:
        return self.fields.get("status", "")

    @property
    def owner(self) -> str:
        return self.fields.get("owner", "")

    @property
    def submitted(self) -> int:
        return self.number("submitted") or 0

    @property
    def ended(self) -> int:
        return self.number("ended") or self.submitted

    @property
    def cause(self) -> str:
        cause = cause_of(self.fields)
        return str(cause["message"])[:1000] if cause else ""

    def number(self, field: str) -> int | None:
        return unreadable.number(self.fields.get(field))


def ended_job(connection: Connection, name: str) -> EndedJob | None:
    """None: it is gone, or there is something in its records that this version does not understand."""
    job = keys.JobKeys(name)
    pipe = connection.redis.pipeline(transaction=False)
    pipe.hgetall(job.job)
    pipe.get(job.spec)
    pipe.hgetall(job.failures)
    found = unreadable.answers(pipe)
    return (
        unreadable.read("ended job", name, lambda _: _read(name, *found)) if found[0] and found[1] else None
    )


def _read(name: str, fields: Any, spec: Any, failures: Any) -> EndedJob:
    details = JobSpec.from_dict(msgpack.unpackb(spec)).details
    told = [
        {**failure, "task": task.decode()}
        for task, listed in list((failures or {}).items())[:MOST_FAILURES]
        for failure in json.loads(listed)
    ]
    return EndedJob(name, unreadable.lines(fields), details.get(TRACEPARENT), told[:MOST_FAILURES])
