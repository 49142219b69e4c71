"""A task that asks somebody: ``breakpoint()``, ``input()``, ``pdb``. On a cluster nobody can answer."""

from __future__ import annotations

import bdb
import os
import sys
from traceback import walk_tb
from typing import Any, NoReturn

from disco_rq.errors import TaskError

__all__ = ["note_that_nobody_answers", "refuse_breakpoints"]

_NOBODY = (
    "a task of a cluster has no terminal: disco_rq.local.run runs the job in your own process, "
    "where breakpoint() and input() work"
)
_DEBUGGERS = ("bdb", "pdb", "cmd")
"""Python 3.14 leaves one that has no more input by ``sys.exit``."""


def refuse_breakpoints() -> None:
    """``breakpoint()`` is an error from now on; another debugger, which PYTHONBREAKPOINT names, stays."""
    if os.environ.get("PYTHONBREAKPOINT", "") in ("", "pdb.set_trace"):
        sys.breakpointhook = _refused


def _refused(*_: Any, **__: Any) -> NoReturn:
    raise TaskError(f"breakpoint(): {_NOBODY}")


def note_that_nobody_answers(error: BaseException) -> None:
    """Say so where it is the reason: the end of ``input()``, or a debugger that got no command."""
    modules = {str(frame.f_globals.get("__name__", "")) for frame, _ in walk_tb(error.__traceback__)}
    if isinstance(error, EOFError):
        asked = str(error) == "EOF when reading a line" or "getpass" in modules
    else:
        asked = isinstance(error, bdb.BdbQuit | SystemExit) and not modules.isdisjoint(_DEBUGGERS)
    if asked:
        error.add_note(_NOBODY)
