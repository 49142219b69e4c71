"""The history of a job: the lines that tell what happened to it, oldest first."""

from __future__ import annotations

from typing import Any, NamedTuple

from disco_rq.store import keys, unreadable
from disco_rq.store.connection import MAX_BLOCK_S, Connection

__all__ = ["Event", "History", "event_of", "events_of"]

MAX_BLOCK_MS = int(MAX_BLOCK_S * 1000)


class Event(NamedTuple):
    """A line of a job's history. ``timestamp``: seconds since 1970, of the Redis server."""

    offset: str
    timestamp: float
    host: str
    message: str
    by_job: bool  # a message of the job itself, not of the system


class History:
    """The histories of jobs, read."""

    def __init__(self, connection: Connection) -> None:
        self._redis = connection.redis

    def events(self, name: str, after: str = "0-0", most: int | None = None) -> list[Event]:
        key = keys.JobKeys(name).events
        return events_of(unreadable.answer(lambda: self._redis.xrange(key, min=f"({after}", count=most)))

    def last_event(self, name: str) -> Event | None:
        key = keys.JobKeys(name).events
        return next(iter(events_of(unreadable.answer(lambda: self._redis.xrevrange(key, count=1)))), None)

    def wait_events(self, after: dict[str, str], block_ms: int) -> dict[str, list[Event]]:
        """Wait for new lines in the histories of several jobs; job -> its lines.

        Empty when none came in time, or in the longest time that one answer may take: look again then.
        """
        streams: Any = {keys.JobKeys(name).events: offset for name, offset in after.items()}
        names = {keys.JobKeys(name).events: name for name in after}
        answer: Any = self._redis.xread(streams, block=max(1, min(block_ms, MAX_BLOCK_MS))) or {}
        found = answer.items() if isinstance(answer, dict) else answer
        events = {}
        for stream, entries in found:
            batch = entries[0] if isinstance(answer, dict) else entries
            events[names[stream.decode()]] = events_of(batch)
        return events


def events_of(entries: Any) -> list[Event]:
    """The lines that Redis tells, without what was never one."""
    return unreadable.readable("a line of a history,", entries, event_of)


def event_of(entry: tuple[bytes, dict[bytes, bytes]]) -> Event:
    """A line of a job's history as Redis tells it."""
    offset, fields = entry
    return Event(
        offset=offset.decode(),
        timestamp=int(offset.partition(b"-")[0]) / 1000,
        host=fields[b"h"].decode("utf-8", "replace"),
        message=fields[b"m"].decode("utf-8", "replace"),
        by_job=fields[b"k"] == b"msg",
    )
