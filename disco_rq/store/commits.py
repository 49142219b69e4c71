"""The results of a job in the order in which they were committed."""

from __future__ import annotations

from typing import Any, NamedTuple

from disco_rq.model import TaskId
from disco_rq.store import keys, unreadable
from disco_rq.store.connection import MAX_BLOCK_S, Connection
from disco_rq.store.taskstate import task_of

__all__ = ["CommitLog", "Committed"]


class Committed(NamedTuple):
    """One result. Not checked: whoever reads from its address does that."""

    offset: str
    task: TaskId
    address: str


class CommitLog:
    """Reads it."""

    def __init__(self, connection: Connection) -> None:
        self._redis = connection.redis

    def after(self, name: str, offset: str, most: int | None) -> list[Committed]:
        """The next ones, so many at most; None: all."""
        key = keys.JobKeys(name).commits
        entries = unreadable.answer(lambda: self._redis.xrange(key, min=f"({offset}", count=most))
        return unreadable.readable(f"a commit of {name},", entries, _committed)

    def wait(self, name: str, offset: str, event: str, wait_s: float) -> None:
        """Until there is one after ``offset``, a line of the history after ``event``, or the time is up."""
        job = keys.JobKeys(name)
        streams: Any = {job.commits: offset, job.events: event}
        self._redis.xread(streams, count=1, block=max(1, int(min(wait_s, MAX_BLOCK_S) * 1000)))


def _committed(entry: tuple[bytes, dict[bytes, bytes]]) -> Committed:
    offset, fields = entry
    return Committed(offset.decode(), task_of(fields[b"t"]), fields[b"o"].decode(errors="replace"))
