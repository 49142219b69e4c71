"""The tasks of a job, one of them with its attempts, and what these printed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter, itemgetter
from typing import Any

from disco_rq.model import Phase, TaskId
from disco_rq.redact import redact
from disco_rq.store.tasktable import TaskRow, row_of_the_dead
from disco_rq.store.viewing import JobHead, natural
from disco_rq.views import shapes
from disco_rq.views.asked import OfLog, OfTask, OfTasks
from disco_rq.views.commands import replay_command
from disco_rq.views.jobs import mean_ms
from disco_rq.views.problem import Problem
from disco_rq.views.sources import Sources

__all__ = ["is_slow", "log", "rows_of", "task", "tasks"]

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
    return head.count("nr_maps" if phase == "map" else "nr_reduces")


def rows_of(sources: Sources, head: JobHead, wanted: Sequence[TaskId]) -> list[TaskRow]:
    """Those tasks, as they are, or as the death of the job left them."""
    rows = sources.tasks.page(head.name, wanted)
    return list(map(row_of_the_dead, rows)) if head.is_dead else rows


def _all_rows(sources: Sources, head: JobHead, phase: Phase, total: int) -> Iterable[TaskRow]:
    known = sources.tables.of(head.name).tasks
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


# -- one task


def task(sources: Sources, asked: OfTask) -> shapes.TaskStory:
    wanted = asked.wanted
    [row] = rows_of(sources, _checked(sources, asked), [wanted])
    [output] = sources.browse.outputs(asked.job, [wanted])
    given = sources.browse.input(asked.job, wanted.index) if wanted.phase == "map" else None
    attempts = [_attempt(asked, one) for one in sources.jobs.story(asked.job, wanted)]
    inputs = list(map(redact, given.urls())) if given else []
    return shapes.TaskStory(asked.task, row.state, inputs, output and redact(output), attempts)


def log(sources: Sources, asked: OfLog) -> shapes.Log:
    _checked(sources, asked)
    story = sources.jobs.story(asked.job, asked.wanted)
    wanted = [one["attempt"] for one in story if asked.attempt in (None, one["attempt"])]
    if not wanted:
        return shapes.Log(asked.task, asked.attempt or 0, "")
    return shapes.Log(asked.task, wanted[-1], sources.disco.log(asked.job, asked.task, wanted[-1]))


def _checked(sources: Sources, asked: OfTask) -> JobHead:
    """The head of the job, if it has such a task."""
    head = sources.view.head(asked.job)
    if asked.wanted.index >= nr_tasks(head, asked.wanted.phase):
        raise Problem("unknown-task", f"job {asked.job} has no task {asked.task}")
    return head


def _attempt(asked: OfTask, one: dict[str, Any]) -> shapes.Attempt:
    started, ended = one.get("started"), one.get("ended")
    return shapes.Attempt(
        attempt=one["attempt"],
        node=one["node"],
        worker=one["worker"],
        started=started,
        ended=ended,
        duration=max(ended - started, 0) if started and ended else None,
        outcome=one["outcome"],
        error=one.get("error"),
        traceback=one.get("traceback") or None,
        url=one.get("url") or None,
        replay=replay_command(asked.job, asked.task, one["attempt"], one["outcome"]) or None,
        entries=one.get("entries"),
        records=one.get("records"),
        bytes=one.get("bytes"),
    )
