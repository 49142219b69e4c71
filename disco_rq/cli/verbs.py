"""The verbs by their names: where each is, and a line about it. One is imported when it is called."""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple

import click
from click.shell_completion import CompletionItem

__all__ = ["VERBS", "ReaderHasLeft", "Verb", "Verbs"]


class Verb(NamedTuple):
    """``module`` of this wing; ``line`` is how its help begins."""

    module: str
    line: str


VERBS = {
    "run": Verb("run", "Run a program and print its results."),
    "submit": Verb("run", "Submit a program and print the job's name."),
    "wait": Verb("run", "Wait for a job's end and print its results' addresses."),
    "jobs": Verb("jobs", "List the jobs, newest first."),
    "info": Verb("jobs", "Tell how far a job is."),
    "events": Verb("jobs", "Print a job's history, oldest first."),
    "results": Verb("results", "Print the addresses of a job's results."),
    "cat": Verb("results", "Print a job's results."),
    "oob": Verb("results", "Read out-of-band results."),
    "tasks": Verb("tasks", "List the tasks of a job."),
    "failures": Verb("tasks", "Tell what went wrong with a job's tasks."),
    "bad": Verb("badentries", "Print the entries that a job has left out."),
    "pstats": Verb("tasks", "Tell where the time of a job's tasks went."),
    "story": Verb("attempts", "Tell what became of each attempt of a task."),
    "log": Verb("attempts", "Print what a task printed and logged."),
    "retry": Verb("retry", "Go on with a dead job as a new one, and print its name."),
    "replay": Verb("replay", "Run a task once more, here, and compare."),
    "kill": Verb("steering", "End jobs now."),
    "pause": Verb("steering", "Start no new tasks of jobs, until they are resumed."),
    "resume": Verb("steering", "Start tasks of paused jobs again."),
    "clean": Verb("steering", "Forget jobs that have ended, and keep their files."),
    "purge": Verb("steering", "Delete jobs."),
    "nodes": Verb("nodes", "List the nodes."),
    "drain": Verb("nodes", "Give nodes no new tasks, and let them finish."),
    "blacklist": Verb("nodes", "Give nodes no new tasks."),
    "whitelist": Verb("nodes", "Give nodes tasks again."),
    "forget": Verb("nodes", "Take nodes that are gone for good off the list."),
    "doctor": Verb("doctor", "Look at Redis, the master and the nodes."),
    "master": Verb("cluster", "Run a master until it is stopped."),
    "node": Verb("cluster", "Run this machine's workers."),
    "up": Verb("cluster", "Run a whole cluster on this machine, until Ctrl-C."),
    "web-token": Verb("cluster", "Print the token that opens the web page and the API."),
    "help": Verb("manual", "Show the manual: its topics, or the page of one."),
    "completion": Verb("completion", "Print what makes a shell complete verbs, options, and the names."),
}
"""In the order in which one meets them."""


class ReaderHasLeft(Exception):
    """The reader of our output has seen enough, as in ``disco-rq run … | head``."""


class Verbs(click.Group):
    """All verbs. Help and completion tell them without importing one."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name in VERBS and cmd_name not in self.commands:
            for command in import_module(f"disco_rq.cli.{VERBS[cmd_name].module}").VERBS:
                self.add_command(command)
        return self.commands.get(cmd_name)

    def every(self) -> dict[str, click.Command]:
        """All of them, imported."""
        with click.Context(self) as ctx:
            found = {name: self.get_command(ctx, name) for name in VERBS}
        return {name: command for name, command in found.items() if command is not None}

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, verb.line) for name, verb in VERBS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        if incomplete.startswith("-"):
            return click.Command.shell_complete(self, ctx, incomplete)
        return [
            CompletionItem(name, help=verb.line)
            for name, verb in VERBS.items()
            if name.startswith(incomplete)
        ]

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # click would leave with 1
            raise ReaderHasLeft from None
