"""The verbs about what a job leaves: results, cat, oob list, oob get."""

from __future__ import annotations

import sys
from typing import BinaryIO

import click

from disco_rq import Disco, result_iterator
from disco_rq.cli.arguments import JobVerb, connect, job_argument, json_option, redis_option, verb
from disco_rq.cli.completion import complete_oob
from disco_rq.cli.output import check_reader, json_of, print_json, write_pairs
from disco_rq.client.progress import Display
from disco_rq.client.streaming import stream_of
from disco_rq.errors import UnknownJob
from disco_rq.views.lines import bytes_of


@verb("disco-rq results @")
@job_argument
@redis_option
@json_option
def results(job: str, redis: str | None, as_json: bool) -> int:
    """Print the addresses of a job's results, as they are now.

    Leaves with 1 when the job is dead.
    """
    with connect(redis) as disco:
        status, addresses = disco.results(job, timeout=0)
    if status == "unknown job":
        raise UnknownJob(f"unknown job {job!r}")
    if as_json:
        print_json({"job": job, "status": status, "results": addresses})
        return int(status == "dead")
    if status != "ready":
        click.echo(f"disco-rq: job {job} is {status}", err=True)
    for address in addresses:
        click.echo(address)
    return int(status == "dead")


def follow_pairs(
    disco: Disco, job: str, out: BinaryIO, *, as_json: bool, display: Display | None = None
) -> None:
    """Write the pairs of each result as soon as it is committed, until the job has ended. ``display`` is told
    of the job while there is nothing to write.
    """

    def idle() -> None:
        out.flush()
        if out is sys.stdout.buffer:
            check_reader()
        if display is not None:
            display.update(disco.session.store.record(job))

    write_pairs(stream_of(disco.session, job, idle=idle), out, as_json=as_json)


@verb("disco-rq cat @ | sort -k2nr | head")
@job_argument
@click.option("-f", "--follow", is_flag=True, help="Print each result as soon as its task is done.")
@redis_option
@json_option
def cat(job: str, follow: bool, redis: str | None, as_json: bool) -> None:
    """Print a job's results; wait for its end first, if need be, or follow it.

    With -f they come in the order in which tasks end, each once, until the job has; leaves with 1 if it died.

    JOB may be a directory, a pattern or an address of saved results, too; a path has a / in it.

    One KEY<TAB>VALUE line for each pair, or a JSON line. On a terminal control characters are written out,
    such as \\x1b; a pipe gets them as they are.
    """
    if "/" in job:
        if follow:
            raise click.UsageError("-f takes the name of a job: saved results do not grow")
        write_pairs(result_iterator(job), sys.stdout.buffer, as_json=as_json)
        return
    with connect(redis) as disco:
        if follow:
            follow_pairs(disco, job, sys.stdout.buffer, as_json=as_json)
            return
        status, _ = disco.results(job, timeout=0)
        if status == "active":
            click.echo(f"disco-rq: job {job} is active: waiting for its end", err=True)
        write_pairs(result_iterator(disco.wait(job)), sys.stdout.buffer, as_json=as_json)


class ListUnlessNamed(click.Group):
    """``oob JOB`` is ``oob list JOB``: no job's name is that of a command."""

    command_class = JobVerb

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self.commands:
            args = ["list", *args]
        return super().resolve_command(ctx, args)


@click.group(cls=ListUnlessNamed, epilog="\b\nExample:\n  disco-rq oob get @ distinct:0 | jq .")
def oob() -> None:
    """Read out-of-band results, which tasks put beside the output.

    "oob JOB" is short for "oob list JOB".
    """


@oob.command("list", epilog="\b\nExample:\n  disco-rq oob list @")
@job_argument
@redis_option
@json_option
def oob_list(job: str, redis: str | None, as_json: bool) -> None:
    """Print the keys of a job's OOB results."""
    with connect(redis) as disco:
        keys = disco.oob_list(job)
    if as_json:
        print_json(keys)
    else:
        for key in keys:
            click.echo(key)


@oob.command("get", epilog="\b\nExample:\n  disco-rq oob get @ distinct:0")
@job_argument
@click.argument("key", shell_complete=complete_oob)
@redis_option
@json_option
def oob_get(job: str, key: str, redis: str | None, as_json: bool) -> None:
    """Print one OOB result.

    Text and bytes come as they were put, with nothing added in a pipe, and control characters written out,
    such as \\x1b, on a terminal; anything else as JSON.
    """
    with connect(redis) as disco:
        value = disco.oob_get(job, key)
    if as_json:
        print_json(value)
    elif isinstance(value, (str, bytes)):
        whole = value if isinstance(value, bytes) else bytes_of(value)
        click.echo(whole, nl=sys.stdout.isatty() and not whole.endswith(b"\n"))
    else:
        click.echo(json_of(value))


VERBS = (results, cat, oob)
