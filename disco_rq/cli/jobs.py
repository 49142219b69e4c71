"""The verbs that look at jobs as a whole: jobs, info, events."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count as count_from
from itertools import islice
from typing import Any

import click

from disco_rq.cli.arguments import connect, job_argument, json_option, redis_option, sources_of, verb
from disco_rq.cli.checks import checks_line
from disco_rq.cli.inputlines import grouped
from disco_rq.cli.output import (
    check_reader,
    json_of,
    local_time,
    print_facts,
    print_json,
    print_table,
    seconds,
    share,
)
from disco_rq.cli.pilot import facts_of_pilot
from disco_rq.client.progress import PhaseCounts, event_text
from disco_rq.client.waiting import REFRESH_S
from disco_rq.store.clock import server_ms
from disco_rq.store.nodes import SUSPENDED
from disco_rq.views import figures, shapes
from disco_rq.views.jobs import head_of
from disco_rq.views.sources import Sources

FIRST, NOW = "0-0", "now"
JOB_COLUMNS = ("started", "status", "job", "progress", "took", "owner")
JOBS_AT_A_TIME = 500


@verb("disco-rq jobs --state active --last 20")
@click.option("--state", type=click.Choice(("active", "ready", "dead")), help="Those in one state.")
@click.option("--name", default="", metavar="TEXT", help="Those whose name begins so.")
@click.option("--last", type=click.IntRange(min=1), metavar="N", help="The newest N of them. [default: all]")
@redis_option
@json_option
def jobs(state: str | None, name: str, last: int | None, redis: str | None, as_json: bool) -> None:
    """List the jobs, newest first: how far each is, for how long it has run or ran, and whose it is."""
    with sources_of(redis) as sources:
        wanted = (head for head in _heads(sources, name) if state is None or head.state == state)
        found = list(islice(wanted, last))
        now_ms = server_ms(sources.connection)
    if as_json:
        print_json([_as_json(head, now_ms) for head in found])
    else:
        print_table(JOB_COLUMNS, [_row(head, now_ms) for head in found])


def _heads(sources: Sources, name: str) -> Iterator[shapes.JobHead]:
    """Newest first, read page by page."""
    for first in count_from(0, JOBS_AT_A_TIME):
        names = sources.view.job_names(first, first + JOBS_AT_A_TIME - 1)
        if not names:
            return
        yield from map(head_of, sources.view.heads([one for one in names if one.startswith(name)]))


def _took_ms(head: shapes.JobHead, now_ms: int) -> int:
    return max((now_ms if head.ended is None else head.ended) - head.submitted, 0)


def _as_json(head: shapes.JobHead, now_ms: int) -> dict[str, Any]:
    return {
        "started": head.submitted / 1000,
        "status": head.state,
        "job": head.name,
        "paused": head.paused,
        "progress": head.progress,
        "seconds": _took_ms(head, now_ms) / 1000,
        "owner": head.owner,
    }


def _row(head: shapes.JobHead, now_ms: int) -> tuple[object, ...]:
    status = "active, paused" if head.paused and head.state == "active" else head.state
    started = local_time(head.submitted / 1000)
    return started, status, head.name, share(head.progress), seconds(_took_ms(head, now_ms)), head.owner


@verb("disco-rq info @")
@job_argument
@redis_option
@json_option
def info(job: str, redis: str | None, as_json: bool) -> None:
    """Tell how far a job is, and what it read, counted and made."""
    with connect(redis) as disco:
        found = disco.jobinfo(job)
    if as_json:
        print_json(found)
        return
    rows: list[tuple[str, object]] = [
        ("job", job),
        ("status", "active, paused" if found["paused"] else found["active"]),
    ]
    if found["suspended"]:
        rows += [("waits", SUSPENDED)]
    elif found["waits"]:
        rows += [("waits", found["waits"])]
    if found["cause"]:
        rows += [("cause", " ".join(str(found["cause"][part]) for part in ("task", "message")).strip())]
    rows += [("started", local_time(found["timestamp"]))]
    if found["ended"]:
        rows += [("ended", local_time(found["ended"]))]
        rows += [("took", figures.duration((found["ended"] - found["timestamp"]) * 1000))]
    phases = {"map": PhaseCounts(*found["mapi"]), "reduce": PhaseCounts(*found["redi"])}
    phases = {name: phase for name, phase in phases.items() if phase.total}
    rows += phases.items()
    for phase in phases:
        amounts = [f"{found[what][phase]:,} {what}" for what in ("entries", "records")]
        rows += [(f"{phase} output", ", ".join([*amounts, figures.size(found["bytes"][phase])]))]
    if found["copies"]:
        rows += [("copies of tasks that lagged", found["copies"])]
    if found["check"]:
        rows += [("maps checked", checks_line(found["check"]))]
    if found["retry_of"]:
        rows += [("goes on with", f"{found['retry_of']}, {found['kept']} tasks kept")]
    if found["reuse"] is not None:
        rows += [("maps reused", f"{found['reused']:,}")]
        rows += [("maps run", f"{number:,}: {why}") for why, number in found["reuse"].items()]
    if found["retried_as"]:
        rows += [("goes on as", found["retried_as"])]
    if found["bad"]:
        rows += [("bad entries left out", found["bad"])]
    if found["pilot"]:
        rows += facts_of_pilot(found["pilot"])
    if found["msgs_dropped"]:
        rows += [("messages dropped", found["msgs_dropped"])]
    rows += [(f"counter {name}", value) for name, value in sorted(found["counters"].items())]
    rows += [
        ("input", line) for line in grouped(found["inputs"], phases["map"].total if "map" in phases else 0)
    ]
    rows += [("result", url) for url in found["results"]]
    print_facts(rows)


def offset_of(text: str) -> str:
    """Where to begin in a history."""
    if text != NOW and not re.fullmatch(r"\d{1,15}(-\d{1,10})?", text):
        raise click.BadParameter(f"{text!r}: it takes an offset as --json tells it, or {NOW}")
    return text


@verb("disco-rq events @ --follow --offset now")
@job_argument
@click.option("-f", "--follow", is_flag=True, help="Go on until the job has ended.")
@click.option(
    "--offset",
    type=offset_of,
    default=FIRST,
    metavar="OFFSET",
    help=f"Only what comes after it; {NOW}: only what is new. [default: all]",
)
@redis_option
@json_option
def events(job: str, follow: bool, offset: str, redis: str | None, as_json: bool) -> int:
    """Print a job's history, oldest first.

    With --follow it leaves with 1 when the job is dead. With --json it prints a line for each event, and its
    offset.
    """
    with connect(redis) as disco:
        if offset == NOW:
            offset = [FIRST, *(last for last, _ in disco.events(job))][-1]
        status = "active" if follow else ""
        while True:
            if follow:  # asked before the events are read, so that what came with the end is not missed
                status = disco.results(job, timeout=REFRESH_S)[0]
            for last, (timestamp, host, message) in disco.events(job, offset):
                offset = last
                if as_json:
                    line = {"offset": last, "timestamp": timestamp, "host": host, "message": message}
                    click.echo(json_of(line))
                else:
                    click.echo(event_text(timestamp, host, message).plain)
            check_reader()
            if status != "active":
                return int(status == "dead")


VERBS = (jobs, info, events)
