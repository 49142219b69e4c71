"""The verbs about jobs as a whole: jobs, info, events, kill, purge."""

from __future__ import annotations

import click

from disco_rq.cli.arguments import connect, job_argument, job_name, json_option, redis_option, verb
from disco_rq.cli.output import json_of, local_time, print_json, print_table
from disco_rq.client import REFRESH_S
from disco_rq.progress import Phase, event_text


@verb("disco-rq jobs")
@redis_option
@json_option
def jobs(redis: str | None, as_json: bool) -> None:
    """List the jobs, newest first."""
    with connect(redis) as disco:
        found = disco.joblist()
    if as_json:
        print_json([{"started": start, "status": status, "job": name} for start, status, name in found])
    else:
        print_table(
            ("started", "status", "job"), [(local_time(start), status, name) for start, status, name in found]
        )


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
    rows: list[tuple[str, object]] = [("job", job), ("status", found["active"])]
    if found["cause"]:
        rows += [("cause", " ".join(str(found["cause"][part]) for part in ("task", "message")).strip())]
    rows += [("started", local_time(found["timestamp"]))]
    if found["ended"]:
        rows += [("ended", local_time(found["ended"]))]
    rows += [("map", Phase(*found["mapi"])), ("reduce", Phase(*found["redi"]))]
    for phase in ("map", "reduce"):
        told = [f"{found[what][phase]:,} {what}" for what in ("entries", "records", "bytes")]
        rows += [(f"{phase} output", ", ".join(told))]
    if found["msgs_dropped"]:
        rows += [("messages dropped", found["msgs_dropped"])]
    rows += [(f"counter {name}", value) for name, value in sorted(found["counters"].items())]
    rows += [("input", " ".join(urls)) for urls in found["inputs"]]
    rows += [("result", url) for url in found["results"]]
    print_table(("", ""), rows)


@verb("disco-rq events @ --follow")
@job_argument
@click.option("-f", "--follow", is_flag=True, help="Go on until the job has ended.")
@redis_option
@json_option
def events(job: str, follow: bool, redis: str | None, as_json: bool) -> None:
    """Print a job's history, oldest first."""
    with connect(redis) as disco:
        offset = "0-0"
        active = True
        while active:
            # Asked before the events are read, so that what came with the end is not missed.
            active = follow and disco.results(job, timeout=REFRESH_S)[0] == "active"
            for last, (timestamp, host, message) in disco.events(job, offset):
                offset = last
                if as_json:
                    line = {"offset": last, "timestamp": timestamp, "host": host, "message": message}
                    click.echo(json_of(line))
                else:
                    click.echo(event_text(timestamp, host, message).plain)


@verb("disco-rq story @ map:3")
@job_argument
@click.argument("task")
@redis_option
@json_option
def story(job: str, task: str, redis: str | None, as_json: bool) -> None:
    """Tell what became of each attempt of a task, such as map:3."""
    with connect(redis) as disco:
        told = disco.story(job, task)
    if as_json:
        print_json(told)
        return
    print_table(
        ("attempt", "node", "started", "seconds", "outcome", ""),
        [
            (
                one["attempt"],
                one["node"],
                local_time(one["started"] / 1000) if one["started"] else "",
                f"{(one['ended'] - one['started']) / 1000:.1f}" if one["started"] and one["ended"] else "",
                one["outcome"],
                one.get("error", ""),
            )
            for one in told
        ],
    )


@verb("disco-rq log @ map:3")
@job_argument
@click.argument("task")
@click.option("--attempt", type=click.IntRange(min=1), metavar="N", help="Which one. [default: the last]")
@redis_option
@json_option
def log(job: str, task: str, attempt: int | None, redis: str | None, as_json: bool) -> None:
    """Print what a task printed and logged."""
    with connect(redis) as disco:
        text = disco.log(job, task, attempt)
    if as_json:
        print_json(text)
    else:
        click.echo(text, nl=False)


@verb("disco-rq kill @")
@click.argument("names", nargs=-1, required=True, type=job_name, metavar="JOB…")
@redis_option
def kill(names: tuple[str, ...], redis: str | None) -> None:
    """End jobs now. What they have counted and said stays to be looked at."""
    with connect(redis) as disco:
        for name in names:
            disco.kill(name)


@verb("disco-rq purge @")
@click.argument("names", nargs=-1, required=True, type=job_name, metavar="JOB…")
@redis_option
def purge(names: tuple[str, ...], redis: str | None) -> None:
    """Delete jobs: their records, and their files on every node.

    An active job is killed first.
    """
    with connect(redis) as disco:
        for name in names:
            disco.purge(name)


VERBS = (jobs, info, events, story, log, kill, purge)
