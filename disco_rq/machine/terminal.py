"""A process without a terminal: whoever asks it for input is told at once that there is none."""

from __future__ import annotations

import os
import sys

__all__ = ["empty_stdin"]


def empty_stdin() -> None:
    """From now on standard input is at its end, for this process and for what it starts.

    What came from the parent stays away from tasks: a terminal, the pipe of an embedded cluster, a script
    that is fed to a shell.
    """
    null = os.open(os.devnull, os.O_RDONLY)
    if sys.__stdin__ is not None or null == 0:  # else 0 was free at the start, and may be a socket of ours
        os.dup2(null, 0)
    sys.stdin = open(null, closefd=null != 0)  # noqa: SIM115  it is there as long as the process is
