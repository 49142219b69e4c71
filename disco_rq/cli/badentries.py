"""The verb about the entries that a job has left out: bad."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from disco_rq.cli.arguments import connect, job_argument, json_option, redis_option, verb
from disco_rq.cli.output import check_reader, json_of, print_rows, print_table
from disco_rq.model import BadEntry
from disco_rq.views.bad import entry_text

COLUMNS = ("task", "number", "offset", "url", "error", "entry")
SHOWN_CHARS = 60
"""Of an error and an entry on a terminal."""


@verb("disco-rq bad @ | cut -f5 | sort | uniq -c | sort -nr")
@job_argument
@redis_option
@json_option
def bad(job: str, redis: str | None, as_json: bool) -> None:
    """Print the entries that a job has left out, of the tasks that are done.

    Where each begins, what is wrong with it, and what it is, up to 64 KiB. With --json also the traceback.
    """
    with connect(redis) as disco:
        found = disco.bad_entries(job)
        if as_json:
            _print_json(found)
        elif sys.stdout.isatty():
            print_table(COLUMNS, [_row(one, SHOWN_CHARS) for one in found])
        else:
            print_rows([COLUMNS])
            for one in found:
                print_rows([_row(one, None)])


def _row(bad: BadEntry, most: int | None) -> tuple[str, ...]:
    error, entry = bad.error, entry_text(bad.entry)
    return bad.task, str(bad.number), str(bad.offset), bad.url, error[:most], entry[:most]


def _print_json(found: Iterator[BadEntry]) -> None:
    """One list, however long; whole JSON, too, where some entries cannot be read."""
    between = "["
    try:
        for one in found:
            click.echo(f"{between}\n  {json_of(one._asdict())}", nl=False)
            between = ","
            check_reader()
    finally:
        click.echo("[]" if between == "[" else "\n]")


VERBS = (bad,)
