"""The maps of a job that run twice, by page."""

from __future__ import annotations

from disco_rq.model import TaskId
from disco_rq.store.deaths import cause_of
from disco_rq.store.tasktable import TaskRow
from disco_rq.views.asked import OfJobPage
from disco_rq.views.secondruns import CheckedMap, Checks, CheckState
from disco_rq.views.sources import Sources
from disco_rq.views.tasks import rows_of

__all__ = ["checks"]


def checks(sources: Sources, asked: OfJobPage) -> Checks:
    head = sources.view.job(asked.job).head
    checked = sorted(sources.jobs.spec(asked.job).checked) if "checks" in head.fields else []
    page = checked[asked.offset : asked.offset + asked.limit]
    cause = cause_of(head.fields) or {}
    guilty = cause.get("task") or ""
    seconds = rows_of(sources, head, [TaskId("check", index) for index in page])
    firsts = rows_of(sources, head, [TaskId("map", index) for index in page])
    maps = [
        CheckedMap(str(first.task), str(second.task), _state(second, guilty), first.node, second.node)
        for first, second in zip(firsts, seconds, strict=True)
    ]
    difference = str(cause["message"]) if guilty.startswith("check:") else None
    return Checks(len(checked), asked.offset, asked.limit, maps, difference)


def _state(row: TaskRow, guilty: str) -> CheckState:
    if str(row.task) == guilty:
        return "differs"
    if row.state == "done":
        return "unchecked" if row.entries is None else "same"
    if row.state == "running":
        return "running"
    if row.state in ("waiting", "queued"):
        return "waiting"
    return "stopped"  # by the end of the job
