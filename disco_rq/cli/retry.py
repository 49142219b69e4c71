"""The verb that goes on with a job that died: retry."""

from __future__ import annotations

from typing import Any

import click

from disco_rq.cli import lastjob
from disco_rq.cli.arguments import connect, job_argument, json_option, redis_option, verb
from disco_rq.cli.completion import complete_files
from disco_rq.cli.output import print_json
from disco_rq.cli.program import load_program
from disco_rq.client.functions import FUNCTIONS


@verb("disco-rq retry @ --with wordcount.py && disco-rq wait @")
@job_argument
@click.argument("inputs", nargs=-1, metavar="[INPUT…]", shell_complete=complete_files)
@click.option(
    "--with", "program", metavar="PROGRAM", shell_complete=complete_files, help="With this program."
)
@click.option("--keep", is_flag=True, help="Keep also tasks that the changes make run again.")
@redis_option
@json_option
def retry(
    job: str, inputs: tuple[str, ...], program: str | None, keep: bool, redis: str | None, as_json: bool
) -> None:
    """Go on with a dead job as a new one, and print its name.

    What was committed is kept, the rest is run; with --with by the functions and arguments of a program that
    was mended. Maps that the program sorts, partitions or writes otherwise run again. The input is what it
    was at the first submit, each file as it was then, unless INPUT is given.
    """
    changes: dict[str, Any] = {}
    if program is not None:
        changes = {**dict.fromkeys(FUNCTIONS), **load_program(program).arguments}
        changes.pop("input", None)
    if inputs:
        changes["input"] = list(inputs)
    with connect(redis) as disco:
        new = disco.retry(job, keep, **changes)
        lastjob.remember(new.name, disco.url)
        kept = new.jobinfo()["kept"]
        if as_json:
            print_json({"job": new.name, "retry_of": job, "kept": kept})
        else:
            click.echo(new.name)
            click.echo(f"{kept} {'task is' if kept == 1 else 'tasks are'} kept of {job}", err=True)


VERBS = (retry,)
