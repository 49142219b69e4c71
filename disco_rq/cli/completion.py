"""The verb that lets a shell complete what is typed: completion; and what it completes with."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice

import click
from click.shell_completion import CompletionItem, get_completion_class
from redis.exceptions import RedisError

from disco_rq.cli.naming import whole_name
from disco_rq.errors import DiscoError
from disco_rq.model import PHASES
from disco_rq.settings import Settings
from disco_rq.store.connection import Connection
from disco_rq.store.jobs import JobStore
from disco_rq.store.nodes import node_names

__all__ = ["VERBS", "complete_files", "complete_jobs", "complete_nodes", "complete_oob", "complete_tasks"]

SHELL_PATIENCE_S = 0.3
"""For how long a shell waits for names from Redis."""
MOST_NAMES = 1_000
PROGRAM, VARIABLE = "disco-rq", "_DISCO_RQ_COMPLETE"
# A job's name has an @ and a task's a colon, at which bash would begin another word.
WHOLE_NAMES = "COMP_WORDBREAKS=${COMP_WORDBREAKS//[@:]/}\n"


@click.command(epilog='\b\nExample:\n  eval "$(disco-rq completion bash)"')
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print what makes a shell complete verbs, options, and the names of jobs, nodes, tasks and OOB results.

    For always: put the example's line into ~/.bashrc, the same with zsh into ~/.zshrc; for fish write it to
    ~/.config/fish/completions/disco-rq.fish.
    """
    found = get_completion_class(shell)
    assert found is not None
    source = found(ctx.find_root().command, {}, PROGRAM, VARIABLE).source()
    click.echo(WHOLE_NAMES + source if shell == "bash" else source, nl=False)


def complete_jobs(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """The names of the newest jobs, if Redis tells them at once; or ``@NAME`` of each."""

    def read(connection: Connection, _: str) -> Iterable[str]:
        names = [name for name, _ in JobStore(connection).job_list(MOST_NAMES - 1)]
        return (
            dict.fromkeys(f"@{name.partition('@')[0]}" for name in names) if incomplete[:1] == "@" else names
        )

    return _names_beginning(ctx, incomplete, read)


def complete_nodes(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """The names of the nodes, if Redis tells them at once."""
    return _names_beginning(ctx, incomplete, lambda connection, _: node_names(connection))


def complete_tasks(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """The first tasks of the job before it that begin so, if Redis tells at once how many there are."""

    def read(connection: Connection, url: str) -> Iterator[str]:
        record = JobStore(connection).record(whole_name(ctx.params["job"], lambda: url))
        for phase in PHASES:
            yield from (f"{phase}:{index}" for index in range(record.count(f"nr_{phase}s")))

    return _names_beginning(ctx, incomplete, read)


def complete_oob(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """The keys of the OOB results of the job before it, if Redis tells them at once."""
    return _names_beginning(
        ctx,
        incomplete,
        lambda connection, url: JobStore(connection).oob_list(whole_name(ctx.params["job"], lambda: url)),
    )


def complete_files(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The shell's own."""
    return [CompletionItem(incomplete, type="file")]


def _names_beginning(
    ctx: click.Context, incomplete: str, read: Callable[[Connection, str], Iterable[str]]
) -> list[str]:
    """``read``: of a connection to the Redis at an address."""
    found: list[str] = []

    def look() -> None:
        with suppress(DiscoError, RedisError, OSError):  # then there is nothing to complete with
            url = ctx.params.get("redis") or Settings.from_env().redis
            if url:
                names = (
                    name for name in read(Connection(url, patience_s=0), url) if name.startswith(incomplete)
                )
                found.extend(islice(names, MOST_NAMES))

    # A thread, since a name server may take longer than any limit of a connection.
    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    looking.join(SHELL_PATIENCE_S)
    return list(found)


VERBS = (completion,)
