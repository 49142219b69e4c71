"""The processes that tasks leave behind: adopted by the worker or its supervisor, and ended."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Collection
from pathlib import Path

import psutil

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


def adopt_orphans() -> None:
    """From now on a descendant that loses its parent becomes our child (Linux; elsewhere nothing)."""
    if _prctl is not None:
        _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent(parent_pid: int) -> None:
    """End this process when the thread that forked it ends, however it does (Linux; elsewhere nothing)."""
    if _prctl is not None:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent_pid:  # it ended before the call
            os._exit(1)


def end_orphans(spare: Collection[int]) -> None:
    """Kill every child of this process but those spared, and all that these children started; reap them."""
    while orphans := _children() - set(spare):
        for pid in orphans:
            with contextlib.suppress(psutil.NoSuchProcess):
                orphan = psutil.Process(pid)
                for descendant in orphan.children(recursive=True):
                    with contextlib.suppress(psutil.NoSuchProcess):
                        descendant.kill()
                orphan.kill()
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def _children() -> set[int]:
    """The pids of this process' children, ended ones too."""
    try:  # much cheaper than to look at every process there is
        lists = [path.read_text() for path in Path("/proc/self/task").glob("*/children")]
        if lists:
            return {int(pid) for one in lists for pid in one.split()}
    except OSError:
        pass  # a thread has ended meanwhile
    return {child.pid for child in psutil.Process().children()}
