"""The verbs about the attempts of a task: story, log."""

from __future__ import annotations

from typing import Any

import click

from disco_rq import Disco
from disco_rq.cli.arguments import connect, job_argument, json_option, redis_option, verb
from disco_rq.cli.completion import complete_tasks
from disco_rq.cli.output import count, local_time, print_json, print_table, seconds
from disco_rq.client.results import read_so_far
from disco_rq.errors import DataError, DiscoError
from disco_rq.model import TaskId
from disco_rq.outputs.addresses import output_address


@verb("disco-rq story @ map:3")
@job_argument
@click.argument("task", shell_complete=complete_tasks)
@redis_option
@json_option
def story(job: str, task: str, redis: str | None, as_json: bool) -> None:
    """Tell what became of each attempt of a task, such as map:3.

    Of one that runs, so many entries as it has read by now.
    """
    with connect(redis) as disco:
        attempts = disco.story(job, task)
        for one in attempts:
            if one["outcome"] == "running":
                one["entries"] = _entries_so_far(disco, job, task, one)
    if as_json:
        print_json(attempts)
        return
    print_table(
        ("attempt", "node", "started", "took", "entries", "outcome", "error"),
        [
            (
                one["attempt"],
                one["node"],
                local_time(one["started"] / 1000) if one["started"] else "",
                seconds(one["ended"] - one["started"] if one["started"] and one["ended"] else None),
                count(one.get("entries")),
                one["outcome"],
                one.get("error", ""),
            )
            for one in attempts
        ],
    )


def _entries_so_far(disco: Disco, job: str, task: str, one: dict[str, Any]) -> int | None:
    """Of an attempt that runs; None if its node cannot be read, or does not know."""
    try:
        address = output_address(one["node"], job, TaskId.parse(task), one["attempt"])
        return read_so_far(disco.session.locator, address).nr_entries
    except DataError:
        return None


@verb("disco-rq log @ map:3")
@job_argument
@click.argument("task", shell_complete=complete_tasks)
@click.option("--attempt", type=click.IntRange(min=1), metavar="N", help="Which one. [default: the last]")
@redis_option
@json_option
def log(job: str, task: str, attempt: int | None, redis: str | None, as_json: bool) -> int:
    """Print what a task printed and logged.

    Of an attempt that runs, the last 16 KiB so far. Leaves with 1 where there is none, and says why. On a
    terminal control characters, such as those of colours, are written out; a pipe gets them as they are.
    """
    with connect(redis) as disco:
        one = _chosen(disco.story(job, task), task, attempt)
        text = disco.log(job, task, one["attempt"])
    if as_json:
        print_json(text)
    else:
        click.echo(text, nl=False)
    if text:
        return 0
    click.echo(f"disco-rq: attempt {one['attempt']} of {task} {_why_empty(one)}", err=True)
    return int(one["outcome"] in ("running", "lost"))


def _chosen(attempts: list[dict[str, Any]], task: str, attempt: int | None) -> dict[str, Any]:
    """The attempt that is meant, or the last one that began."""
    begun = [one for one in attempts if one["started"]]
    wanted = [one for one in begun if attempt in (None, one["attempt"])]
    if wanted:
        return wanted[-1]
    if not begun:
        raise DiscoError(f"{task} has no log: no attempt of it has begun")
    there = " ".join(str(one["attempt"]) for one in begun)
    raise DiscoError(f"{task} has no log of an attempt {attempt}: there are {there}")


def _why_empty(one: dict[str, Any]) -> str:
    match one["outcome"]:
        case "running":
            return f"runs on {one['node']}, and has printed nothing so far"
        case "lost":
            return f"was lost, and with it its log: see the log of node {one['node']}"
        case _:
            return "printed nothing"


VERBS = (story, log)
