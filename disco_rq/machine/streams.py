"""The standard streams of a process, which its parent may have closed."""

from __future__ import annotations

import os
import sys

__all__ = ["open_closed_streams"]

_MODES = (os.O_RDONLY, os.O_WRONLY, os.O_WRONLY)


def open_closed_streams() -> None:
    """Give those of the descriptors 0, 1 and 2 that are closed to nobody, so that no file of ours gets them.

    Errors and messages that nobody reads are lost then. Standard output is not opened for writing: who writes
    results there is told that it cannot.
    """
    for number, mode in enumerate(_MODES):
        try:
            os.fstat(number)
        except OSError:
            wanted = os.O_RDONLY if number == 1 else mode
            opened = os.open(os.devnull, wanted)
            if opened != number:  # a lower one is free, too, but it has had its turn
                os.dup2(opened, number)
                os.close(opened)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False, errors="backslashreplace")  # noqa: SIM115
