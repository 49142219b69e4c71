"""One task of a job: what it reads, its attempts, and what these printed."""

from __future__ import annotations

import re
from typing import Any

from msgspec.structs import replace

from disco_rq.client.results import read_so_far
from disco_rq.outputs.addresses import output_address
from disco_rq.redact import redact
from disco_rq.store.clock import server_ms
from disco_rq.store.viewing import JobHead
from disco_rq.views import shapes
from disco_rq.views.asked import OfLog, OfTask
from disco_rq.views.commands import replay_command
from disco_rq.views.files import parts_of
from disco_rq.views.problem import Problem
from disco_rq.views.sources import Sources
from disco_rq.views.tasks import nr_tasks, rows_of

__all__ = ["log", "task"]

MOST_EVENTS = 1_000
"""Among so many it is looked for how far a task is."""
_ENTRIES = re.compile(r"(\S+): ([0-9]+) entries (?:mapped|reduced)")


def task(sources: Sources, asked: OfTask) -> shapes.TaskStory:
    wanted = asked.wanted
    [row] = rows_of(sources, _checked(sources, asked), [wanted])
    [output] = sources.browse.outputs(asked.job, [wanted])
    given = sources.browse.input(asked.job, wanted.index) if wanted.phase == "map" else None
    attempts = [_attempt(asked, one) for one in sources.jobs.story(asked.job, wanted)]
    inputs = list(map(redact, given.urls())) if given else []
    parts = parts_of(given) if given else []
    if any(attempt.outcome == "running" for attempt in attempts):
        told = _entries_told(sources, asked)
        attempts = [replace(one, entries=told) if one.outcome == "running" else one for one in attempts]
    now_ms = server_ms(sources.connection)
    return shapes.TaskStory(asked.task, row.state, inputs, parts, output and redact(output), attempts, now_ms)


def _entries_told(sources: Sources, asked: OfTask) -> int | None:
    """How many entries the task had read when it told that last, if it is among the last events."""
    events = sources.browse.events(asked.job, after="", before="", most=MOST_EVENTS)
    told = (_ENTRIES.fullmatch(event.message) for event in reversed(events) if not event.by_job)
    return next((int(found[2]) for found in told if found and found[1] == asked.task), None)


def log(sources: Sources, asked: OfLog) -> shapes.Log:
    _checked(sources, asked)
    story = sources.jobs.story(asked.job, asked.wanted)
    wanted = [one for one in story if asked.attempt in (None, one["attempt"])]
    if not wanted:
        return shapes.Log(asked.task, asked.attempt or 0, "", None)
    number = wanted[-1]["attempt"]
    if wanted[-1]["outcome"] == "running":
        address = output_address(wanted[-1]["node"], asked.job, asked.wanted, number)
        so_far = read_so_far(sources.locator, address)
        return shapes.Log(asked.task, number, so_far.text, so_far.nr_entries)
    return shapes.Log(asked.task, number, sources.disco.log(asked.job, asked.task, number), None)


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
