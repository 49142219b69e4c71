"""When which slot ran what, in as many bars as one can look at."""

from __future__ import annotations

from collections.abc import Iterator

from disco_rq.model import TaskId
from disco_rq.store.tasktable import TaskTable
from disco_rq.store.viewing import natural, slot_of
from disco_rq.views import shapes
from disco_rq.views.asked import OfTimeline
from disco_rq.views.sources import Sources

__all__ = ["timeline"]

MOST_BARS = 2_000
MOST_COLUMNS = 400
"""Of a slot: what is closer than a column's width is merged, once there are too many bars."""


def timeline(sources: Sources, asked: OfTimeline) -> shapes.Timeline:
    now_ms = sources.view.job(asked.job).now_ms
    rows: dict[tuple[str, str], list[shapes.Bar]] = {}
    slots: dict[str, str] = {}  # of each worker
    for node, worker, bar in _bars(sources.tables.of(asked.job), now_ms):
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


def _bars(table: TaskTable, now_ms: int) -> Iterator[tuple[str, str, shapes.Bar]]:
    """(node, worker, bar) of each attempt."""
    for (task, _), record in table.attempts.items():
        if record.started and record.worker not in ("", "-"):
            failed = int(record.outcome not in ("done", "overtaken"))
            end = max(record.ended, record.started)
            yield record.node, record.worker, _bar(record.started, end, task, failed, 0)
    for task, row in table.tasks.items():
        if row.state == "running" and row.started:
            yield row.node, row.worker, _bar(row.started, max(now_ms, row.started), task, 0, 1)


def _bar(start: int, end: int, task: TaskId, failed: int, running: int) -> shapes.Bar:
    return shapes.Bar(start, end, 1, task.phase, str(task), failed, running)


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
    return merged
