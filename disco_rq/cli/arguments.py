"""What many verbs take: which cluster, which job, text or JSON; and an example at the end of each help."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from disco_rq import Disco
from disco_rq.cli import lastjob
from disco_rq.cli.completion import complete_jobs
from disco_rq.errors import SettingsError
from disco_rq.settings import Settings
from disco_rq.views.sources import Sources

F = TypeVar("F", bound=Callable[..., Any])


def job_name(value: str) -> str:
    """A job's name as the user gives it: the name, or ``@``."""
    return lastjob.recall() if value == lastjob.LAST else value


def verb(example: str) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a command of a function; the function's name is the verb's, its docstring the help."""
    return click.command(epilog=f"\b\nExample:\n  {example}")


def redis_option(function: F) -> F:
    return click.option(
        "--redis", metavar="URL", help="Address of the cluster's Redis. [default: $DISCO_RQ_REDIS]"
    )(function)


def json_option(function: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)


def job_argument(function: F) -> F:
    argument = click.argument("job", type=job_name, metavar="JOB", shell_complete=complete_jobs)
    return argument(function)


def job_names(*, required: bool = True) -> Callable[[F], F]:
    """``names``: one job or several."""
    return click.argument(
        "names", nargs=-1, required=required, type=job_name, metavar="JOB…", shell_complete=complete_jobs
    )


def address(redis: str | None) -> str:
    """The Redis that the user means. Raises ``SettingsError`` if none is named."""
    url = redis or Settings.from_env().redis
    if url is None:
        raise SettingsError(
            "which cluster? give --redis URL or set DISCO_RQ_REDIS; 'disco-rq up' starts one on this machine"
        )
    return url


def connect(redis: str | None) -> Disco:
    """The running cluster that the user means. Raises ``DiscoError`` if there is none to be reached."""
    return Disco(address(redis))


@contextmanager
def sources_of(redis: str | None) -> Iterator[Sources]:
    """What the web API reads from, for the verbs that tell the same. Raises like ``connect``."""
    sources = Sources.open(address(redis), Settings.from_env().secret)
    try:
        yield sources
    finally:
        sources.close()
