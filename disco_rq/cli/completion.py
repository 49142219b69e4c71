"""The verb that lets a shell complete what is typed: completion; and what it completes with."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress

import click
from click.shell_completion import CompletionItem, get_completion_class
from redis.exceptions import RedisError

from disco_rq.errors import DiscoError
from disco_rq.settings import Settings
from disco_rq.store.connection import Connection
from disco_rq.store.jobs import JobStore
from disco_rq.store.nodes import node_names

__all__ = ["VERBS", "complete_files", "complete_jobs", "complete_nodes"]

SHELL_PATIENCE_S = 0.3
"""For how long a shell waits for names from Redis."""
MOST_JOBS = 1_000
PROGRAM, VARIABLE = "disco-rq", "_DISCO_RQ_COMPLETE"
# A job's name has an @, at which bash would begin another word.
WHOLE_NAMES = "COMP_WORDBREAKS=${COMP_WORDBREAKS//@/}\n"


@click.command(epilog='\b\nExample:\n  eval "$(disco-rq completion bash)"')
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print what makes a shell complete verbs, options, and the names of jobs and nodes.

    For always: put the example's line into ~/.bashrc, the same with zsh into ~/.zshrc; for fish write it to
    ~/.config/fish/completions/disco-rq.fish.
    """
    found = get_completion_class(shell)
    assert found is not None
    source = found(ctx.find_root().command, {}, PROGRAM, VARIABLE).source()
    click.echo(WHOLE_NAMES + source if shell == "bash" else source, nl=False)


def complete_jobs(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """The names of the newest jobs, if Redis tells them at once."""
    return _names_beginning(
        ctx, incomplete, lambda it: [name for name, _ in JobStore(it).job_list(MOST_JOBS - 1)]
    )


def complete_nodes(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """The names of the nodes, if Redis tells them at once."""
    return _names_beginning(ctx, incomplete, node_names)


def complete_files(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The shell's own."""
    return [CompletionItem(incomplete, type="file")]


def _names_beginning(
    ctx: click.Context, incomplete: str, read: Callable[[Connection], Iterable[str]]
) -> list[str]:
    found: list[str] = []

    def look() -> None:
        with suppress(DiscoError, RedisError, OSError):  # then there is nothing to complete with
            url = ctx.params.get("redis") or Settings.from_env().redis
            if url:
                found.extend(read(Connection(url, patience_s=0)))

    # A thread, since a name server may take longer than any limit of a connection.
    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    looking.join(SHELL_PATIENCE_S)
    return [name for name in list(found) if name.startswith(incomplete)]


VERBS = (completion,)
