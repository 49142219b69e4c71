"""A program run in this very process: ``disco-rq run --local``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console

from disco_rq import local
from disco_rq.client.progress import event_text
from disco_rq.local import LocalJob

__all__ = ["run_here"]


def run_here(name: str, arguments: dict[str, Any], console: Console, *, quiet: bool) -> LocalJob:
    """The job, which has ended. What its tasks print goes to stderr; then what they said with ``msg``.

    Raises as ``local.run``.
    """
    with stdout_to_stderr():
        job = local.run(name, **arguments)
    for _, event in () if quiet else job.events():
        console.print(event_text(*event), soft_wrap=True)
    return job


@contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """While inside, what this process and its children print is not among the results."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)
