"""Why each map of a job that reuses others' is run, or of which job it is."""

from __future__ import annotations

import click

from disco_rq import Disco
from disco_rq.client.reusing import explained
from disco_rq.machine.escaping import escaped

__all__ = ["explain"]


def explain(disco: Disco, job: str) -> None:
    """A line for each map, on stderr: the results go to stdout."""
    for task, urls, why in explained(disco.session, job):
        click.echo(escaped(f"{task} {urls}: {why}", one_line=True), err=True)
