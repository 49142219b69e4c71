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
    rows += [("started", local_time(found["timestamp"]))]
    rows += [("map", Phase(*found["mapi"])), ("reduce", Phase(*found["redi"]))]
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


VERBS = (jobs, info, events, kill, purge)
