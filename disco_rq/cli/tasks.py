"""The verbs about the tasks of a job as a whole: tasks, failures, pstats."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
import msgspec

from disco_rq.cli.arguments import connect, job_argument, json_option, redis_option, sources_of, verb
from disco_rq.cli.output import count, local_time, print_json, print_table, seconds, size
from disco_rq.model import PHASES, Phase
from disco_rq.outputs.profiles import SORTS, functions
from disco_rq.views import shapes
from disco_rq.views.asked import OfJob, OfTasks
from disco_rq.views.failures import failures as failures_of
from disco_rq.views.sources import Sources
from disco_rq.views.tasks import tasks as page_of

TASKS_AT_A_TIME = 500
COLUMNS = ("task", "state", "attempt", "failures", "node", "took", "entries", "records", "bytes")


@verb("disco-rq tasks @ --phase map --state failed")
@job_argument
@click.option("--phase", type=click.Choice(PHASES), help="Of one phase. [default: both]")
@click.option(
    "--state",
    type=click.Choice(("waiting", "queued", "running", "done", "failed", "stopped")),
    help="In one state; failed: an attempt of it has failed; stopped: by the end of the job.",
)
@redis_option
@json_option
def tasks(job: str, phase: Phase | None, state: str | None, redis: str | None, as_json: bool) -> None:
    """List the tasks of a job: where each runs or ran, for how long, and what it made."""
    with sources_of(redis) as sources:
        found = [
            task
            for name in (PHASES if phase is None else (phase,))
            for task in _tasks(sources, job, name, state or "")
        ]
        now_ms = sources.view.job(job).now_ms
    if as_json:
        print_json([msgspec.to_builtins(task) for task in found])
        return
    rows = [
        (
            *(task.task, task.state, task.attempt, task.failures, task.node),
            seconds(_ran_ms(task, now_ms)),
            *(count(task.entries), count(task.records), size(task.bytes)),
        )
        for task in found
    ]
    print_table(COLUMNS, rows)


def _ran_ms(task: shapes.Task, now_ms: int) -> int | None:
    """How long it ran, or has run so far."""
    return max(now_ms - (task.started or now_ms), 0) if task.state == "running" else task.duration


def _tasks(sources: Sources, job: str, phase: Phase, state: Any) -> Iterator[shapes.Task]:
    """As the web page lists them, page by page."""
    offset = 0
    while True:
        asked = OfTasks(job=job, phase=phase, state=state, offset=offset, limit=TASKS_AT_A_TIME)
        page = page_of(sources, asked)
        yield from page.tasks
        offset += TASKS_AT_A_TIME
        if offset >= page.total:
            return


@verb("disco-rq failures @")
@job_argument
@redis_option
@json_option
def failures(job: str, redis: str | None, as_json: bool) -> None:
    """Tell what went wrong with a job's tasks, those of one cause together, each with a traceback.

    The most frequent cause comes first; the one that ended the job is marked.
    """
    with sources_of(redis) as sources:
        found = failures_of(sources, OfJob(job=job))
    if as_json:
        print_json(msgspec.to_builtins(found))
        return
    if not found.groups:
        click.echo(_without_groups(found.failed), err=True)
    for group in found.groups:
        click.echo("\n".join(_group_lines(group)))
    if found.truncated:
        click.echo("there are more; these are of the first tasks that were looked at", err=True)


def _without_groups(failed: int) -> str:
    if not failed:
        return "no attempt has failed"
    return f"{failed} attempts have failed, and what Redis keeps of them cannot be read"


def _group_lines(group: shapes.FailureGroup) -> Iterator[str]:
    example = group.example
    named = " ".join(group.tasks) + (" …" if group.task_count > len(group.tasks) else "")
    fatal = "; it ended the job" if group.fatal else ""
    times = "once" if group.count == 1 else f"{group.count} times"
    tasks = "1 task" if group.task_count == 1 else f"{group.task_count} tasks"
    yield f"{times} {group.kind}: {group.cause}{fatal}"
    yield f"  {tasks}: {named}; on {' '.join(group.nodes)}"
    yield f"  from {local_time(group.first / 1000)} to {local_time(group.last / 1000)}"
    url = f" ({example.url})" if example.url and example.url not in example.message else ""
    yield f"  such as {example.task}, attempt {example.attempt} on {example.node}: {example.message}{url}"
    yield from (f"    {line}" for line in example.traceback.rstrip().splitlines())
    if example.replay:
        yield f"  once more, here: {example.replay}"


@verb("disco-rq pstats @ map --sort cumulative")
@job_argument
@click.argument("phase", type=click.Choice(PHASES), required=False)
@click.option("--sort", type=click.Choice(tuple(SORTS)), default="time", help="By what. [default: time]")
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(min=1),
    default=25,
    metavar="N",
    help="So many functions. [default: 25]",
)
@redis_option
@json_option
def pstats(job: str, phase: Phase | None, sort: str, lines: int, redis: str | None, as_json: bool) -> None:
    """Tell where the time of a job's tasks went.

    For a job that was submitted with profile=True; of its tasks that are done, those of one phase or all.
    """
    with connect(redis) as disco:
        stats = disco.profile_stats(job, phase or "")
    if as_json:
        print_json(functions(stats, sort, lines))
    else:
        stats.sort_stats(SORTS[sort]).print_stats(lines)


VERBS = (tasks, failures, pstats)
