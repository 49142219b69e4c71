"""The program: all verbs, and the one place where an error becomes a line on stderr and an exit status."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from disco_rq.cli.output import printing_any_value
from disco_rq.cli.verbs import ReaderHasLeft, Verbs
from disco_rq.errors import DiscoError
from disco_rq.machine.escaping import EscapingStream
from disco_rq.version import __version__

INTERRUPTED = 130  # what shells report for a program that Ctrl-C ended


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="disco-rq")
def cli() -> None:
    """MapReduce with plain Python functions on Redis and RQ.

    \b
    The first job, on this machine alone:
      disco-rq run disco_rq.examples.wordcount README.md
    """


def run(args: Sequence[str] | None = None) -> NoReturn:
    """Run the command line. Leaves with 0, with 1 for an error of any kind, or 2 for a wrong call."""
    with printing_any_value():
        if sys.stdout is not None and sys.stdout.isatty():
            sys.stdout = EscapingStream(sys.stdout)
        if sys.stderr is not None and sys.stderr.isatty():
            sys.stderr = EscapingStream(sys.stderr)
        sys.exit(_exit_status(args))


def _exit_status(args: Sequence[str] | None) -> int:
    try:
        status = cli.main(args=args, prog_name="disco-rq", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("disco-rq: interrupted", err=True)
        return INTERRUPTED
    except (BrokenPipeError, ReaderHasLeft):
        _write_no_more()
        return 0
    except DiscoError as error:
        click.echo(f"disco-rq: {error}", err=True)
        return 1
    except _refusals() as error:  # such as NOPERM, of a user who may not do that
        click.echo(f"disco-rq: Redis refuses this: {error}", err=True)
        return 1
    except OSError as error:
        _write_no_more()
        if error.errno == errno.EBADF:
            click.echo("disco-rq: standard output is closed: there is nowhere to write", err=True)
            return 1
        click.echo(f"disco-rq: {error}", err=True)
        return 1
    return status if isinstance(status, int) else 0


def _write_no_more() -> None:
    """Where stdout failed, the interpreter's last flush must not fail once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _refusals() -> tuple[type[Exception], ...]:
    """What Redis may have answered, if anybody has asked it."""
    redis = sys.modules.get("redis.exceptions")
    return (redis.ResponseError,) if redis is not None else ()
