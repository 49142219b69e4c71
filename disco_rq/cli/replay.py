"""The verb that runs a task once more: replay."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import islice
from typing import Any

import click

from disco_rq.attempt.usercode import message_of, user_traceback
from disco_rq.cli.arguments import connect, job_argument, json_option, redis_option, verb
from disco_rq.cli.completion import complete_tasks
from disco_rq.cli.output import print_json, print_rows
from disco_rq.client.replay import Replay

SHOWN_PAIRS = 20


@verb("disco-rq replay @ map:3 --pdb")
@job_argument
@click.argument("task", shell_complete=complete_tasks)
@click.option(
    "--attempt",
    type=click.IntRange(min=1),
    metavar="N",
    help="Compare with this one. [default: the one that counts, else the last that failed]",
)
@click.option("--entry", type=click.IntRange(min=1), metavar="N", help="Give the map this entry only.")
@click.option("--pdb", is_flag=True, help="Open the debugger where the task raises.")
@redis_option
@json_option
def replay(
    job: str, task: str, attempt: int | None, entry: int | None, pdb: bool, redis: str | None, as_json: bool
) -> int:
    """Run a task once more, here, and compare.

    In this process, with the job's own functions and input. What it prints comes as it runs; then what it
    would put, count, say and write, and whether that is what was committed, or how an attempt failed. Nothing
    changes on the cluster. breakpoint() stops. Leaves with 1 if the task fails, or what it makes is not what
    was committed.
    """
    if pdb and as_json:
        raise click.UsageError("--pdb and --json do not go together")
    _log_as_attempts_do()
    with connect(redis) as disco, _stdout_on_stderr() if as_json else nullcontext():
        done = disco.replay(job, task, entry, attempt, pdb=pdb)
    if as_json:
        print_json(_plain(done))
    else:
        _print(done, task)
    return int(done.error is not None or done.agrees is False)


def _log_as_attempts_do() -> None:
    """What the task logs is seen, as in the log of an attempt; of ours, what is wrong."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("disco_rq").setLevel(logging.WARNING)


@contextmanager
def _stdout_on_stderr() -> Iterator[None]:
    """What a task prints is no JSON."""
    sys.stdout.flush()
    before = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(before, 1)
        os.close(before)


def _plain(done: Replay) -> dict[str, Any]:
    error = done.error
    return {
        "agrees": done.agrees,
        "attempt": done.attempt,
        "fails_alike": done.fails_alike,
        "error": None if error is None else message_of(error),
        "traceback": "" if error is None else user_traceback(error),
        "notes": done.notes,
        "puts": done.puts,
        "counters": done.counters,
        "messages": done.messages,
        "left_out": done.left_out,
        "pairs": [list(pair) for pair in done.pairs],
        "written_bytes": len(done.written),
    }


def _print(done: Replay, task: str) -> None:
    for line in _lines(done):
        click.echo(line)
    print_rows(islice(done.pairs, SHOWN_PAIRS))
    if len(done.pairs) > SHOWN_PAIRS:
        click.echo(f"… {len(done.pairs) - SHOWN_PAIRS} more; --json prints all")
    if done.error is not None:
        click.echo(f"{task} raised {message_of(done.error)}", err=True)
        click.echo(user_traceback(done.error), err=True, nl=False)
    for note in done.notes:
        click.echo(f"{task}: {note}", err=True)


def _lines(done: Replay) -> Iterator[str]:
    yield from (f"put {key}: {value!r}" for key, value in done.puts.items())
    yield from (f"counter {name}: {n}" for name, n in sorted(done.counters.items()))
    yield from (f"msg: {text}" for text in done.messages)
    if done.left_out:
        yield f"left out: {done.left_out}"
    if done.error is None:
        yield f"bytes of its writer: {len(done.written)}" if done.written else f"pairs: {len(done.pairs)}"


VERBS = (replay,)
