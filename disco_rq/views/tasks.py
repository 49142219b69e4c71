"""The tasks of a job, by page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter, itemgetter
from typing import Any

from disco_rq.model import Phase, TaskId
from disco_rq.store.tasktable import TaskRow, row_of_the_dead
from disco_rq.store.viewing import JobHead, natural
from disco_rq.views import shapes
from disco_rq.views.asked import OfTasks
from disco_rq.views.jobs import mean_ms
from disco_rq.views.sources import Sources

__all__ = ["is_slow", "nr_tasks", "rows_of", "tasks"]

SLOW_FACTOR = 3
SLOW_MS = 1_000
"""A task is slow that took so many times the mean, and so much longer than it."""


def tasks(sources: Sources, asked: OfTasks) -> shapes.Tasks:
    head = sources.view.job(asked.job).head
    phase: Phase = asked.phase or ("map" if head.count("nr_maps") else "reduce")
    mean = mean_ms(head, phase)
    total = nr_tasks(head, phase)
    if asked.sort == "index" and not (asked.state or asked.node or asked.q):
        numbers = range(total) if asked.order == "asc" else range(total - 1, -1, -1)
        page = numbers[asked.offset : asked.offset + asked.limit]
        rows = rows_of(sources, head, [TaskId(phase, number) for number in page])
    else:
        every = _all_rows(sources, head, phase, total)
        chosen = asked.state or asked.node or asked.q
        found = [row for row in every if _matches(row, asked)] if chosen else list(every)
        rows = _sorted(found, asked.sort, descending=asked.order == "desc")
        total = len(rows)
        rows = rows[asked.offset : asked.offset + asked.limit]
    listed = [_task(row, mean) for row in rows]
    return shapes.Tasks(total, asked.offset, asked.limit, phase, mean, listed)


def nr_tasks(head: JobHead, phase: str) -> int:
    return head.count("nr_reduces" if phase == "reduce" else "nr_maps")


def rows_of(sources: Sources, head: JobHead, wanted: Sequence[TaskId]) -> list[TaskRow]:
    """Those tasks, as they are, or as the death of the job left them."""
    rows = sources.tasks.page(head.name, wanted)
    return list(map(row_of_the_dead, rows)) if head.is_dead else rows


def _all_rows(sources: Sources, head: JobHead, phase: Phase, total: int) -> Iterable[TaskRow]:
    known = sources.tables.of(head.name, over=head.is_ready or head.is_dead).table.tasks
    for number in range(total):
        task = TaskId(phase, number)
        row = known.get(task) or TaskRow(task, "waiting", 0, 0, "", "", None, None, None, None, None)
        yield row_of_the_dead(row) if head.is_dead else row


def _matches(row: TaskRow, asked: OfTasks) -> bool:
    if asked.state and (row.failures == 0 if asked.state == "failed" else row.state != asked.state):
        return False
    if asked.node and row.node != asked.node:
        return False
    return not asked.q or asked.q in str(row.task) or asked.q in row.worker or asked.q in row.node


def _sorted(rows: list[TaskRow], by: str, *, descending: bool) -> list[TaskRow]:
    """Equal ones stay in the order of their numbers; those without a value come last either way."""
    if by == "index":
        return rows[::-1] if descending else rows
    keyed = list(zip(map(_KEYS.get(by) or attrgetter(by), rows), rows, strict=True))
    known = [pair for pair in keyed if pair[0] is not None]
    known.sort(key=itemgetter(0), reverse=descending)
    return [row for _, row in known] + [row for value, row in keyed if value is None]


_KEYS: dict[str, Callable[[TaskRow], Any]] = {
    "node": lambda row: natural(row.node) if row.node else None,
    "attempt": lambda row: row.attempt or None,
}


def _task(row: TaskRow, mean: float | None) -> shapes.Task:
    return shapes.Task(
        *(str(row.task), row.state, row.attempt, row.failures, row.node, row.worker),  # type: ignore[arg-type]
        *(row.started, row.ended, row.duration, row.entries, row.records, row.bytes),
        slow=is_slow(row.duration, mean),
    )


def is_slow(duration_ms: int | None, mean: float | None) -> bool:
    """Whether a task took much longer than the others of its phase."""
    if duration_ms is None or mean is None:
        return False
    return duration_ms > SLOW_FACTOR * mean and duration_ms - mean >= SLOW_MS
