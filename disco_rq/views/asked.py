"""What the API is asked with: the parameters of each endpoint, in its path or behind it."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from disco_rq.model import TASK, Phase, TaskId

Text = Annotated[str, Meta(max_length=256)]
Offset = Annotated[int, Meta(ge=0, le=100_000_000)]
Limit = Annotated[int, Meta(ge=1, le=500)]
Order = Literal["asc", "desc"]
TaskName = Annotated[str, Meta(pattern=f"^{TASK.pattern}$")]
EventId = Annotated[str, Meta(pattern=r"^([0-9]{1,15}-[0-9]{1,10})?$")]


class Asked(Struct, kw_only=True, forbid_unknown_fields=True):
    """Nothing."""


class OfJob(Asked, kw_only=True):
    job: Text


class OfNode(Asked, kw_only=True):
    node: Text


class Page(Asked, kw_only=True):
    offset: Offset = 0
    limit: Limit = 100


class OfJobs(Page, kw_only=True):
    """``q``: part of the name or the owner."""

    state: Literal["", "active", "ready", "dead"] = ""
    owner: Text = ""
    q: Text = ""
    sort: Literal["submitted", "name", "owner", "state", "progress", "took"] = "submitted"
    order: Order = "desc"
    limit: Limit = 50


class OfJobPage(Page, kw_only=True):
    job: Text


class OfTasks(OfJobPage, kw_only=True):
    phase: Phase | None = None
    state: Literal["", "waiting", "queued", "running", "done", "failed", "stopped"] = ""
    node: Text = ""
    q: Text = ""
    sort: Literal[
        "index", "state", "attempt", "node", "started", "duration", "entries", "records", "bytes"
    ] = "index"
    order: Order = "asc"


class OfTask(OfJob, kw_only=True):
    task: TaskName

    @property
    def wanted(self) -> TaskId:
        return TaskId.parse(self.task)


class OfLog(OfTask, kw_only=True):
    attempt: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None


class OfTimeline(OfJob, kw_only=True):
    phase: Literal["all", "map", "reduce"] = "all"


class OfProfile(OfJob, kw_only=True):
    phase: Literal["all", "map", "reduce"] = "all"
    sort: Literal["time", "cumulative", "calls"] = "time"


class OfOOB(OfJobPage, kw_only=True):
    q: Text = ""


class OfKey(OfJob, kw_only=True):
    key: Text


class OfResult(OfJob, kw_only=True):
    index: Annotated[int, Meta(ge=0, le=100_000_000)]


class OfPreview(OfResult, kw_only=True):
    records: Annotated[int, Meta(ge=1, le=100)] = 20


class OfEvents(OfJob, kw_only=True):
    after: EventId = ""
    before: EventId = ""
    kind: Literal["", "msg", "sys"] = ""
    q: Text = ""
    limit: Limit = 200


class OfJobStream(OfJob, kw_only=True):
    after: EventId = ""
