"""The list of jobs, and one job in numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from disco_rq.client.submission import at_defaults
from disco_rq.model import PHASES, Phase
from disco_rq.store.deaths import cause_of
from disco_rq.store.jobs import reuse_of
from disco_rq.store.viewing import JobHead, JobView, ViewStore
from disco_rq.views import shapes
from disco_rq.views.asked import OfJob, OfJobs
from disco_rq.views.sources import Sources

__all__ = ["head_of", "heads_of", "job", "job_of", "jobs", "mean_ms", "spec"]

MOST_JOBS = 5_000
"""The newest so many are searched and sorted."""
CAUSE_CHARS = 200
"""Of what a job died of, in a list."""


def jobs(sources: Sources, asked: OfJobs) -> shapes.Jobs:
    view = sources.view
    plain = not (asked.state or asked.owner or asked.q) and asked.sort == "submitted"
    if plain and asked.order == "desc":
        heads = view.heads(view.job_names(asked.offset, asked.offset + asked.limit - 1))
        return shapes.Jobs(view.nr_jobs(), asked.offset, asked.limit, heads_of(view, heads))
    found = [head_of(head) for head in view.heads(view.job_names(0, MOST_JOBS - 1)) if _matches(head, asked)]
    found.sort(key=ORDERS[asked.sort], reverse=asked.order == "desc")
    page = _with_causes(view, found[asked.offset : asked.offset + asked.limit])
    return shapes.Jobs(len(found), asked.offset, asked.limit, page)


def _matches(head: JobHead, asked: OfJobs) -> bool:
    owner = head.fields.get("owner", "")
    q = asked.q.lower()
    return (
        (not asked.state or head.fields["status"] == asked.state)
        and (not asked.owner or owner == asked.owner)
        and (q in head.name.lower() or q in owner.lower())
    )


def _took(head: shapes.JobHead) -> float:
    return float("inf") if head.ended is None else head.ended - head.submitted


ORDERS: dict[str, Callable[[shapes.JobHead], Any]] = {
    "submitted": lambda head: head.submitted,
    "name": lambda head: head.name,
    "owner": lambda head: (head.owner, head.submitted),
    "state": lambda head: (head.state, head.submitted),
    "progress": lambda head: (head.progress, head.submitted),
    "took": lambda head: (_took(head), -head.submitted),
}


def job(sources: Sources, asked: OfJob) -> shapes.Job:
    return job_of(sources.view.job(asked.job))


def spec(sources: Sources, asked: OfJob) -> shapes.Spec:
    """As it was submitted; of many inputs the first hundred."""
    details = sources.jobs.spec(asked.job).details
    told = dict(details.get("arguments") or {})
    return shapes.Spec(told, at_defaults(told), dict(details.get("source") or {}))


def heads_of(view: ViewStore, heads: Sequence[JobHead]) -> list[shapes.JobHead]:
    """For a list: those that died with what they died of."""
    return _with_causes(view, list(map(head_of, heads)))


def _with_causes(view: ViewStore, heads: list[shapes.JobHead]) -> list[shapes.JobHead]:
    causes = view.causes([head.name for head in heads if head.state == "dead"])
    for head in heads:
        head.died_of = _in_short(causes.get(head.name))
    return heads


def _in_short(cause: str | None) -> str | None:
    """The first line of it, or the beginning of that."""
    line = (cause or "").strip().partition("\n")[0]
    return line[: CAUSE_CHARS - 1] + "…" if len(line) > CAUSE_CHARS else line or None


def head_of(head: JobHead) -> shapes.JobHead:
    """Without what it died of."""
    return shapes.JobHead(**_head(head))


def _head(head: JobHead) -> dict[str, Any]:
    counts = [_counts(head, phase) for phase in PHASES]
    total = sum(count.total for count in counts)
    done = sum(count.done for count in counts)
    over = head.fields["status"] == "ready"
    return {
        "name": head.name,
        "state": head.fields["status"],
        "paused": head.fields.get("paused") == "1",
        "owner": head.fields.get("owner", ""),
        "priority": head.count("priority"),
        "submitted": head.count("submitted"),
        "ended": head.moment("ended"),
        "maps": counts[0],
        "reduces": counts[1],
        "progress": 1.0 if over else done / total if total else 0.0,
        "died_of": None,
    }


def _counts(head: JobHead, phase: Phase) -> shapes.TaskCounts:
    states = [head.count(f"{phase}:{state}") for state in ("waiting", "running", "done", "failed")]
    return shapes.TaskCounts(head.count(f"nr_{phase}s"), *states)


def job_of(view: JobView) -> shapes.Job:
    head = view.head
    phases = [_phase(view, phase) for phase in PHASES if head.count(f"nr_{phase}s")]
    cause = cause_of(head.fields)
    return shapes.Job(
        **{**_head(head), "died_of": _in_short(cause["message"] if cause else None)},
        now_ms=view.now_ms,
        last_event=view.last_event,
        suspended=view.suspended,
        waits=view.waits,
        nodes=view.nodes,
        msgs_dropped=head.count("msgs_dropped"),
        has_reduce=head.count("nr_reduces") > 0,
        counters=view.counters,
        oob=view.oob,
        bad=head.count("bad"),
        pilot="pilot" in head.fields,
        check=_check(head),
        kept=head.count("kept"),
        retry_of=head.fields.get("retry_of"),
        retried_as=head.fields.get("retried_as"),
        reused=head.count("reused"),
        reuse=reuse_of(head.fields),
        cause=_cause(cause) if cause else None,
        phases=phases,
    )


def _check(head: JobHead) -> shapes.Check | None:
    """None: none of its maps is checked."""
    if "checks" not in head.fields:
        return None
    maps, done, unchecked = (head.count(name) for name in ("checks", "check:done", "unchecked"))
    return shapes.Check(maps, done, unchecked, head.count("check:ms") / 1000)


def _cause(cause: dict[str, Any]) -> shapes.Cause:
    known = {name: cause[name] for name in shapes.Cause.__struct_fields__ if cause.get(name) is not None}
    return msgspec.convert(known, shapes.Cause, strict=False)


def _phase(view: JobView, phase: Phase) -> shapes.PhaseView:
    head = view.head
    counts = _counts(head, phase)
    started, ended = head.moment(f"{phase}:started"), head.moment(f"{phase}:ended")
    is_open = counts.done < counts.total
    rate = remaining = None
    if started is not None:
        until = ended if ended is not None and not is_open else head.moment("ended") or view.now_ms
        if until > started and counts.done:
            rate = counts.done / (until - started) * 1000
    goes_on = head.fields["status"] == "active" and head.fields.get("paused") != "1"
    if rate and is_open and goes_on:
        remaining = (counts.total - counts.done) / rate
    return shapes.PhaseView(
        phase=phase,
        total=counts.total,
        waiting=counts.waiting,
        running=counts.running,
        done=counts.done,
        failed=counts.failed,
        entries=head.count(f"{phase}:entries"),
        records=head.count(f"{phase}:records"),
        bytes=head.count(f"{phase}:bytes"),
        started=started,
        ended=ended if not is_open else None,
        rate=rate,
        remaining_s=remaining,
        mean_ms=mean_ms(head, phase),
        in_batches=min(view.in_batches.get(phase, 0), counts.running),
    )


def mean_ms(head: JobHead, phase: str) -> float | None:
    """How long a done task took on average; None before the first. Needs the whole hash of the job."""
    done = head.count(f"{phase}:done")
    return head.count(f"{phase}:ms") / done if done else None
