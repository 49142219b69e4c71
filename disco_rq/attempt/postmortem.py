"""The debugger, where a job's function has raised."""

from __future__ import annotations

import pdb
import sys
from collections.abc import Sequence
from types import TracebackType

from disco_rq.attempt.usercode import message_of, users_traceback

__all__ = ["post_mortem"]


def post_mortem(error: BaseException, notes: Sequence[str] = ()) -> None:
    """Open pdb in the frame of the job's own code in which the error was raised; ``up`` leads to callers.
    It tells the error and the ``notes`` first.

    Returns when the user leaves it. An error that none of the job's functions raised opens where it is.
    """
    found: TracebackType | None = users_traceback(error) or error.__traceback__
    if found is None:
        return
    debugger = pdb.Pdb(stdout=sys.stdout)
    for line in (message_of(error), *notes):
        debugger.message(f"*** {line}")
    debugger.reset()
    debugger.interaction(None, found)
