"""What many verbs take: which cluster, which job, text or JSON; and an example at the end of each help."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from disco_rq.cli.completion import complete_jobs
from disco_rq.cli.naming import whole_name
from disco_rq.errors import SettingsError
from disco_rq.settings import Settings

if TYPE_CHECKING:
    from disco_rq import Disco
    from disco_rq.views.sources import Sources

UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}

F = TypeVar("F", bound=Callable[..., Any])


def verb(example: str) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a command of a function; the function's name is the verb's, its docstring the help."""
    return click.command(cls=JobVerb, epilog=f"\b\nExample:\n  {example}")


def age_s(text: str) -> float:
    """``7d`` as seconds."""
    found = re.fullmatch(r"(\d{1,9})([smhdw])", text)
    if found is None:
        raise click.BadParameter(f"{text!r}: it takes a number and one of s, m, h, d, w, such as 7d")
    return float(found[1]) * UNITS_S[found[2]]


def redis_option(function: F) -> F:
    return click.option(
        "--redis", metavar="URL", help="Address of the cluster's Redis. [default: $DISCO_RQ_REDIS]"
    )(function)


def json_option(function: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)


class JobArgument(click.Argument):
    """A job, or several: the verb gets the whole name, whatever the user calls it."""


class JobVerb(click.Command):
    """Looks up the names of jobs once all that is typed has been found right."""

    def invoke(self, ctx: click.Context) -> Any:
        for parameter in self.params:
            if isinstance(parameter, JobArgument) and parameter.name:
                typed = ctx.params[parameter.name]
                ctx.params[parameter.name] = (
                    _named(ctx, typed) if isinstance(typed, str) else tuple(_named(ctx, one) for one in typed)
                )
        return super().invoke(ctx)


def _named(ctx: click.Context, text: str) -> str:
    return whole_name(text, lambda: address(ctx.params.get("redis")))


def job_argument(function: F) -> F:
    """``job``: its name, the beginning of it, ``@NAME``, or ``@``."""
    return click.argument("job", cls=JobArgument, metavar="JOB", shell_complete=complete_jobs)(function)


def job_names(*, required: bool = True) -> Callable[[F], F]:
    """``names``: one job or several."""
    return click.argument(
        "names", cls=JobArgument, nargs=-1, required=required, metavar="JOB…", shell_complete=complete_jobs
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
    from disco_rq import Disco  # not at the top: masters and nodes need no client, and every verb this module

    return Disco(address(redis))


@contextmanager
def sources_of(redis: str | None) -> Iterator[Sources]:
    """What the web API reads from, for the verbs that tell the same. Raises like ``connect``."""
    from disco_rq.views.sources import Sources

    sources = Sources.open(address(redis), Settings.from_env().secret)
    try:
        yield sources
    finally:
        sources.close()
