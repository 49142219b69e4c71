"""When which slot ran what, in as many bars as one can look at."""

from __future__ import annotations

from collections.abc import Iterator

from disco_rq.model import Phase, TaskId
from disco_rq.store.tasktable import TaskRow, TaskTable
from disco_rq.store.viewing import JobView, natural, slot_of
from disco_rq.views import shapes
from disco_rq.views.asked import OfTimeline
from disco_rq.views.sources import Sources

__all__ = ["bars_now", "timeline"]

MOST_BARS = 2_000
MOST_COLUMNS = 400
"""Of a slot: what is closer than a column's width is merged, once there are too many bars."""


def timeline(sources: Sources, asked: OfTimeline) -> shapes.Timeline:
    view = sources.view.job(asked.job)
    rows: dict[tuple[str, str], list[shapes.Bar]] = {}
    slots: dict[str, str] = {}  # of each worker
    for node, worker, bar in bars_now(sources, view):
        if asked.phase in ("all", bar.phase):
            slot = slots.get(worker) or slots.setdefault(worker, slot_of(worker))
            rows.setdefault((node, slot), []).append(bar)
    bars = [bar for row in rows.values() for bar in row]
    if not bars:
        return shapes.Timeline(None, None, False, [])
    start, end = min(bar.start for bar in bars), max(bar.end for bar in bars)
    for row in rows.values():
        row.sort(key=lambda bar: bar.start)
    merged = len(bars) > MOST_BARS
    if merged:
        columns = max(min(MOST_COLUMNS, MOST_BARS // len(rows)), 1)
        rows = {place: _merged(row, start, (end - start) / columns) for place, row in rows.items()}
    places = sorted(rows, key=lambda place: (natural(place[0]), natural(place[1])))
    return shapes.Timeline(
        start, end, merged, [shapes.SlotRow(slot, node, rows[node, slot]) for node, slot in places]
    )


def bars_now(sources: Sources, view: JobView) -> Iterator[tuple[str, str, shapes.Bar]]:
    """Those of a job, up to the moment when its tasks were read: what runs since then nobody knows."""
    over = view.head.is_ready or view.head.is_dead
    read = sources.tables.of(view.head.name, over=over)
    return _bars_of(read.table, None if over else view.now_ms - read.age_ms)


def _bars_of(table: TaskTable, now_ms: int | None) -> Iterator[tuple[str, str, shapes.Bar]]:
    """(node, worker, bar) of each attempt. ``now_ms``: None if the job is over, so that nothing runs."""
    last: dict[tuple[str, str], int] = {}
    for (task, _), record in table.attempts.items():
        if record.started and record.worker not in ("", "-"):
            end = max(record.ended, record.started)
            lost = int(record.outcome == "lost")
            failed = int(record.outcome not in ("done", "overtaken", "lost"))
            place = record.node, record.worker
            last[place] = max(last.get(place, 0), end)
            yield *place, _bar(record.started, end, task, failed=failed, lost=lost)
    held: dict[tuple[str, str], list[TaskRow]] = {}
    for row in table.tasks.values() if now_ms is not None else ():
        if row.state == "running" and row.started:
            held.setdefault((row.node, row.worker), []).append(row)
    for place, rows in held.items():
        # Of a batch a slot runs one task after the other; which one it is at is not told. It has begun when
        # the one before had ended.
        start = max(last.get(place, 0), min(row.started or 0 for row in rows))
        bar = _bar(start, max(now_ms or 0, start), min(row.task for row in rows), running=1)
        bar.tasks = len(rows)
        yield *place, bar


def _bar(
    start: int, end: int, task: TaskId, *, failed: int = 0, lost: int = 0, running: int = 0
) -> shapes.Bar:
    phase: Phase = "reduce" if task.phase == "reduce" else "map"  # the check of a map is one more of it
    return shapes.Bar(start, end, 1, phase, str(task), failed, running, lost)


def _merged(row: list[shapes.Bar], start: int, width: float) -> list[shapes.Bar]:
    """One bar for all that begin in the same column of the picture and are of one phase."""
    merged: list[shapes.Bar] = []
    longest = 0
    column = -1
    for bar in row:
        here = int((bar.start - start) / width) if width else 0
        last = merged[-1] if merged else None
        if last is None or here != column or last.phase != bar.phase:
            merged.append(bar)
            column, longest = here, bar.end - bar.start
            continue
        if bar.end - bar.start > longest:
            longest, last.task = bar.end - bar.start, bar.task
        last.end = max(last.end, bar.end)
        last.tasks += 1
        last.failed += bar.failed
        last.running += bar.running
        last.lost += bar.lost
    return merged
