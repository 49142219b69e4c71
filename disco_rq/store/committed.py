"""What counts of one task: all that its commit has left in the job's record."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from disco_rq.errors import UnknownJob
from disco_rq.model import TaskId
from disco_rq.oobvalues import untyped
from disco_rq.store import keys
from disco_rq.store.connection import Connection
from disco_rq.store.taskstate import TaskState

__all__ = ["Committed", "committed", "committed_output"]


class Committed(NamedTuple):
    """Of the attempt of a task that counts."""

    attempt: int
    node: str
    address: str  # of its output; not checked
    digests: bytes  # of the partitions of a map's output; empty: it has none
    puts: dict[str, Any]
    counters: dict[str, int]


def committed(connection: Connection, job_name: str, task: TaskId) -> Committed | None:
    """None where nothing counts: it never ended, or its output is lost. ``UnknownJob``."""
    job, name = keys.JobKeys(job_name), str(task)
    pipe = connection.redis.pipeline(transaction=True)
    pipe.exists(job.job)
    pipe.hget(job.tasks, name)
    pipe.hget(job.outputs, name)
    pipe.hget(job.digests, name)
    pipe.hget(job.given, name)
    pipe.hgetall(job.oob_owners)
    is_there, state, address, digests, given, owners = pipe.execute()
    if not is_there:
        raise UnknownJob(f"unknown job {job_name!r}")
    if state is None or address is None or (now := TaskState.parse(state)).state != "done":
        return None
    counters = dict((json.loads(given) if given else {}).get("counters") or {})
    own = [key for key, owner in owners.items() if owner.decode() == name]
    return Committed(
        attempt=now.attempt,
        node=now.node,
        address=address.decode(errors="replace"),
        digests=digests or b"",
        puts=_values(connection, job, own),
        counters={counter: int(n) for counter, n in counters.items()},
    )


def committed_output(connection: Connection, job_name: str, task: TaskId) -> tuple[bytes, str]:
    """Of a map that was committed: the digests of its partitions, and the address of its output, which is not
    checked; empty what is not there.
    """
    job = keys.JobKeys(job_name)
    pipe = connection.redis.pipeline(transaction=True)
    pipe.hget(job.digests, str(task))
    pipe.hget(job.outputs, str(task))
    digests, address = pipe.execute()
    return digests or b"", (address or b"").decode(errors="replace")


def _values(connection: Connection, job: keys.JobKeys, own: list[bytes]) -> dict[str, Any]:
    if not own:
        return {}
    values: Any = connection.redis.hmget(job.oob, own)
    letters: Any = connection.redis.hmget(job.oob_types, own)
    found = zip(own, letters, values, strict=True)
    return {key.decode(): untyped(letter, value) for key, letter, value in found if value is not None}
