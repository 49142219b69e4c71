"""The tasks of a job: a page of them by number, or all of them, to be sorted and filtered."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec

from disco_rq.model import TaskId
from disco_rq.store import keys, unreadable
from disco_rq.store.connection import Connection
from disco_rq.store.taskstate import TaskState, attempt_field, attempt_of, task_of

SCAN_COUNT = 2_000
"""Fields of a hash in one answer: the server is not held up by a big job."""


# Of these there are 100,000 for a big job. They hold no containers: the collector need not look through them.
class AttemptRecord(msgspec.Struct, frozen=True, gc=False):
    """How an attempt ended, as commit and fail wrote it."""

    node: str = ""
    worker: str = ""
    started: int = 0
    ended: int = 0
    outcome: str = ""
    entries: int | None = None
    records: int | None = None
    bytes: int | None = None


NOTHING = AttemptRecord()


class TaskRow(msgspec.Struct, frozen=True, gc=False):
    """A task as it is: of its attempt that runs or is done, else of its last one. Times in ms."""

    task: TaskId
    state: str
    attempt: int
    failures: int
    node: str
    worker: str
    started: int | None
    ended: int | None
    entries: int | None
    records: int | None
    bytes: int | None

    @property
    def duration(self) -> int | None:
        return None if self.started is None or self.ended is None else max(self.ended - self.started, 0)


def row_of_the_dead(row: TaskRow) -> TaskRow:
    """A task of a job that is dead: what was not done by then never will be."""
    if row.state == "done":
        return row
    return msgspec.structs.replace(row, state="failed" if row.failures else "stopped")


class TaskTable(NamedTuple):
    """All tasks that were ever tried, and all attempts that ended."""

    tasks: dict[TaskId, TaskRow]
    attempts: dict[tuple[TaskId, int], AttemptRecord]  # (task, number) -> record


class TaskStore:
    """Reads the tasks of jobs."""

    def __init__(self, connection: Connection) -> None:
        self._redis = connection.redis

    def page(self, name: str, tasks: Sequence[TaskId]) -> list[TaskRow]:
        """Those tasks, in three round trips, however many there are in all."""
        if not tasks:
            return []
        job = keys.JobKeys(name)
        pipe = self._redis.pipeline(transaction=False)
        fields = list(map(str, tasks))
        pipe.hmget(job.tasks, fields)
        pipe.hmget(job.failures, fields)
        states, failures = (told or [None] * len(tasks) for told in unreadable.answers(pipe))
        parsed = [unreadable.read(name, state, TaskState.parse) if state else None for state in states]
        tried = [(task, state.attempt) for task, state in zip(tasks, parsed, strict=True) if state]
        ended = [attempt_field(*attempt) for attempt in tried]
        found: Any = unreadable.answer(lambda: self._redis.hmget(job.attempts, ended) if tried else [])
        records = dict(zip(tried, found or [], strict=False))
        rows = []
        for task, state, listed in zip(tasks, parsed, failures, strict=True):
            packed = records.get((task, state.attempt)) if state else None
            record = unreadable.read(name, packed, _decode) if packed else None
            rows.append(_row(task, state, record, _nr_failures(listed)))
        return rows

    def size(self, name: str) -> int:
        """How many rows the table has: tasks that were ever tried, and attempts that ended."""
        job = keys.JobKeys(name)
        pipe = self._redis.pipeline(transaction=False)
        pipe.hlen(job.tasks)
        pipe.hlen(job.attempts)
        return sum(size or 0 for size in unreadable.answers(pipe))

    def table(self, name: str) -> TaskTable:
        """Everything; takes some 10 µs a task, so it is for who asked to see all."""
        job = keys.JobKeys(name)
        read, what = unreadable.readable, f"a record of a task of {name},"
        records = dict(
            read(what, self._scan(job.attempts), lambda one: (attempt_of(one[0]), _decode(one[1])))
        )
        failures = dict(
            read(what, self._scan(job.failures), lambda one: (task_of(one[0]), _nr_failures(one[1])))
        )

        def row_of(entry: tuple[bytes, bytes]) -> TaskRow:
            task, text = task_of(entry[0]), entry[1]
            if not text.startswith(b"done "):
                state = TaskState.parse(text)
                return _row(task, state, records.get((task, state.attempt)), failures.get(task, 0))
            # Most of them, in a third of the time.
            attempt = int(text[5 : text.index(b" ", 5)])
            record = records.get((task, attempt), NOTHING)
            return TaskRow(
                *(task, "done", attempt, failures.get(task, 0), record.node, record.worker),
                *(record.started, record.ended, record.entries, record.records, record.bytes),
            )

        return TaskTable({row.task: row for row in read(what, self._scan(job.tasks), row_of)}, records)

    def _scan(self, key: str) -> Iterator[tuple[bytes, bytes]]:
        cursor: Any = None
        while cursor != 0:
            at = cursor or 0
            told: Any = unreadable.answer(partial(self._redis.hscan, key, at, count=SCAN_COUNT))
            cursor, batch = told or (0, {})
            yield from batch.items()


def _row(task: TaskId, state: TaskState | None, record: AttemptRecord | None, failures: int) -> TaskRow:
    if state is None:
        return TaskRow(task, "waiting", 0, failures, "", "", None, None, None, None, None)
    if state.state in ("queued", "running"):
        since = state.since_ms if state.state == "running" else None
        worker = "" if state.worker == "-" else state.worker
        return TaskRow(
            task, state.state, state.attempt, failures, state.node, worker, since, None, None, None, None
        )
    record = record or NOTHING
    return TaskRow(
        *(task, state.state, state.attempt, failures, record.node, record.worker),
        *(record.started or None, record.ended or None, record.entries, record.records, record.bytes),
    )


_decoder = msgspec.json.Decoder(AttemptRecord)


def _decode(packed: bytes) -> AttemptRecord:
    try:
        return _decoder.decode(packed)
    except msgspec.MsgspecError:  # written by another version, or with what is no UTF-8 in its error
        told = json.loads(packed.decode("utf-8", "replace"))
        known = {name: told[name] for name in AttemptRecord.__struct_fields__ if told.get(name) is not None}
        return msgspec.convert(known, AttemptRecord, strict=False)


def _nr_failures(listed: bytes | None) -> int:
    return len(unreadable.read("failures of a task,", listed, json.loads) or ()) if listed else 0
