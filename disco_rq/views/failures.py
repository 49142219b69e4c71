"""The failures of a job, those of one cause together."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from disco_rq.model import TaskId
from disco_rq.store import deaths
from disco_rq.store.viewing import natural
from disco_rq.views import shapes
from disco_rq.views.asked import OfJob
from disco_rq.views.commands import replay_command
from disco_rq.views.sources import Sources

__all__ = ["cause_of", "failures"]

MOST_TASKS = 5_000
"""The failures of so many tasks are looked at."""
MOST_BYTES = 16 << 20
MOST_GROUPS = 100
MOST_NAMED = 20
CAUSE_MAX_CHARS = 300

_PLACE = re.compile(r" \([^()]*(?:in|reading|before) (?:the first )?entry .*\)$")
_VARYING = re.compile(
    r"""
    (?<![0-9A-Za-z])(?:
        0[xX][0-9a-fA-F]+                                       # addresses: <object at 0x7f3a…>
        | [0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}  # uuids
        | (?=[a-fA-F]*[0-9])[0-9a-fA-F]{6,}                     # hashes; not "facade", which is a word
        | tmp[0-9a-z_]{8}                                       # what Python calls temporary files
    )(?![0-9A-Za-z])
    | [0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?
    """,
    re.VERBOSE,
)
"""What differs between messages of one cause: numbers and ids."""


class _Failure(NamedTuple):
    task: TaskId
    record: Mapping[str, Any]


def failures(sources: Sources, asked: OfJob) -> shapes.Failures:
    head = sources.view.job(asked.job).head
    found, truncated = sources.view.failures(asked.job, MOST_TASKS, MOST_BYTES)
    groups: dict[tuple[str, str], list[_Failure]] = {}
    for task, listed in found.items():
        for record in listed:
            groups.setdefault((record["kind"], cause_of(record["message"])), []).append(
                _Failure(task, record)
            )
    end = deaths.cause_of(head.fields) or {}
    largest = sorted(groups.items(), key=lambda group: -len(group[1]))[:MOST_GROUPS]
    failed = head.count("map:failed") + head.count("reduce:failed")
    told_groups = [_group(sources, asked.job, kind, cause, group, end) for (kind, cause), group in largest]
    return shapes.Failures(failed, told_groups, truncated or len(groups) > MOST_GROUPS)


def cause_of(message: str) -> str:
    """What messages of one cause have in common: all but where it happened, numbers and ids."""
    return _VARYING.sub("#", _PLACE.sub("", message))[:CAUSE_MAX_CHARS]


def _group(
    sources: Sources, job: str, kind: str, cause: str, group: Sequence[_Failure], end: Mapping[str, Any]
) -> shapes.FailureGroup:
    named = sorted({failure.task for failure in group})
    fatal = [f for f in group if str(f.task) == end.get("task") and f.record["attempt"] == end.get("attempt")]
    first = min(group, key=lambda failure: failure.record["at"])
    example = (fatal or [first])[0]
    causes = {_PLACE.sub("", failure.record["message"])[:CAUSE_MAX_CHARS] for failure in group}
    return shapes.FailureGroup(
        cause=causes.pop() if len(causes) == 1 else cause,
        kind=kind,
        count=len(group),
        tasks=list(map(str, named[:MOST_NAMED])),
        task_count=len(named),
        nodes=sorted({failure.record["node"] for failure in group}, key=natural),
        first=first.record["at"],
        last=max(failure.record["at"] for failure in group),
        example=_example(sources, job, example, end if fatal else {}),
        fatal=bool(fatal),
    )


def _example(sources: Sources, job: str, failure: _Failure, end: Mapping[str, Any]) -> shapes.FailureExample:
    number = failure.record["attempt"]
    traceback = end.get("traceback") or ""
    if not traceback:
        story = sources.jobs.story(job, failure.task)
        traceback = next((one.get("traceback") or "" for one in story if one["attempt"] == number), "")
    return shapes.FailureExample(
        task=str(failure.task),
        attempt=number,
        node=failure.record["node"],
        message=failure.record["message"],
        url=failure.record.get("url") or "",
        traceback=traceback,
        replay=replay_command(job, str(failure.task), number, failure.record["kind"]),
    )
