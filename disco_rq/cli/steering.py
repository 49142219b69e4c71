"""The verbs that change jobs: kill, pause, resume, clean, purge."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import click

from disco_rq import Disco
from disco_rq.cli.arguments import age_s, connect, job_names, json_option, redis_option, verb
from disco_rq.cli.output import print_json, tell
from disco_rq.store.connection import Connection
from disco_rq.store.viewing import ViewStore


@verb("disco-rq kill @")
@job_names()
@redis_option
@json_option
def kill(names: tuple[str, ...], redis: str | None, as_json: bool) -> None:
    """End jobs now. What they have counted and said stays to be looked at."""
    _each(redis, names, Disco.kill, "is killed", as_json)


@verb("disco-rq pause @")
@job_names()
@redis_option
@json_option
def pause(names: tuple[str, ...], redis: str | None, as_json: bool) -> None:
    """Start no new tasks of jobs, until they are resumed. What runs goes on."""
    _each(redis, names, Disco.pause, "is paused: nothing new of it starts, what runs goes on", as_json)


@verb("disco-rq resume @")
@job_names()
@redis_option
@json_option
def resume(names: tuple[str, ...], redis: str | None, as_json: bool) -> None:
    """Start tasks of paused jobs again."""
    _each(redis, names, Disco.resume, "goes on", as_json)


@verb("disco-rq clean @")
@job_names()
@redis_option
@json_option
def clean(names: tuple[str, ...], redis: str | None, as_json: bool) -> None:
    """Forget jobs that have ended, and keep their files.

    Who noted the addresses of the results can still read them. Nothing but purge deletes the files.
    """
    _each(redis, names, Disco.clean, "is forgotten; its files stay", as_json)


def _each(
    redis: str | None, names: tuple[str, ...], change: Callable[[Disco, str], None], told: str, as_json: bool
) -> None:
    with connect(redis) as disco:
        for name in names:
            [before] = disco.session.store.statuses([name])
            change(disco, name)
            if not as_json:
                has_ended = change is Disco.kill and before != "active"
                tell(f"job {name} " + (f"had ended: it is {before}" if has_ended else told))
    if as_json:
        print_json({"jobs": names, "did": change.__name__})


@verb("disco-rq purge --older 7d --dry-run")
@job_names(required=False)
@click.option("--older", type=age_s, metavar="AGE", help="All that ended so long ago: 90m, 12h, 7d, 4w.")
@click.option("--dry-run", is_flag=True, help="Only tell which.")
@redis_option
@json_option
def purge(
    names: tuple[str, ...], older: float | None, dry_run: bool, redis: str | None, as_json: bool
) -> None:
    """Delete jobs: their records, and their files on every node.

    Those that are named, and with --older all that ended so long ago; prints their names then. An active
    job is purged only by its name: it is killed first.
    """
    if not names and older is None:
        raise click.UsageError("which jobs? Name them, or give --older AGE.")
    with connect(redis) as disco:
        chosen = list(names)
        if older is not None:
            ended = ViewStore(Connection(disco.url)).ended_before(older)
            chosen += [name for name in ended if name not in names]
        for name in chosen:
            if not dry_run:
                disco.purge(name)
            if as_json:
                continue
            if dry_run or older is not None:
                with suppress(BrokenPipeError):  # the reader has seen enough, the jobs are to go all the same
                    click.echo(name)
            else:
                tell(f"job {name} is purged")
    if as_json:
        print_json({"jobs": chosen, "did": None if dry_run else "purge"})


VERBS = (kill, pause, resume, clean, purge)
