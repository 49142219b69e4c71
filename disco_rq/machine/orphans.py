"""The processes that tasks leave behind: adopted by the worker or its supervisor, and ended."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

from disco_rq.machine.kernel import PROC, prctl

_log = logging.getLogger("disco_rq.orphans")

PATIENCE_S = 1.0
"""For how long a killed process is waited for."""
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """From now on a descendant that loses its parent becomes our child (Linux; elsewhere nothing)."""
    if prctl is not None:
        prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent(parent_pid: int) -> None:
    """End this process when the thread that forked it ends, however it does (Linux; elsewhere nothing)."""
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent_pid:  # it ended before the call
            os._exit(1)


def end_orphans(spare: Collection[int]) -> None:
    """Kill every child of this process but those spared, and all that these children started; reap them.

    What cannot be killed (it belongs to another user, or hangs in the kernel) is told and left.
    """
    left: set[int] = set()
    while orphans := _children() - left.union(spare):
        for pid in orphans:
            kill_family(pid)
        deadline = time.monotonic() + PATIENCE_S
        for pid in orphans:
            if not _reaped(pid, deadline):
                _log.warning("process %s, left by a task, cannot be ended", pid, extra={"action": "orphan"})
                left.add(pid)


def kill_family(pid: int) -> None:
    """SIGKILL to a process and to all that descends from it now."""
    with contextlib.suppress(psutil.NoSuchProcess):
        head = psutil.Process(pid)
        for process in (*head.children(recursive=True), head):
            kill(process)


def kill(process: psutil.Process) -> bool:
    """SIGKILL to that very process: psutil knows it by its start time too. False if we may not."""
    try:
        process.kill()
    except psutil.NoSuchProcess:
        pass
    except psutil.AccessDenied:
        return False
    return True


class Gone(NamedTuple):
    """A process that led a session, and is not there any more; where it worked, and what it printed to. Paths
    without links.
    """

    pid: int
    directory: Path
    log: Path


def end_strays(gone: Sequence[Gone]) -> None:
    """Kill what the tasks of such processes have left running, and whose parents are gone, too (Linux;
    elsewhere nothing).

    These are the processes that print to the log, and in the session those that work in the directory: after
    a restart of the machine the session alone may be somebody else's.
    """
    logs = {name for one in gone for name in _names(one.log)}
    places = {one.pid: _names(one.directory) for one in gone}
    for pid in _pids() if gone else ():
        with contextlib.suppress(OSError):  # it is gone, or another user's
            is_left = _behind(pid, "fd/1") in logs or _behind(pid, "fd/2") in logs
            if is_left or _behind(pid, "cwd") in places.get(os.getsid(pid), ()):
                told = "process %s, left by a task of a worker that died, is ended"
                _log.warning(told, pid, extra={"action": "orphan"})
                os.kill(pid, signal.SIGKILL)


def _pids() -> list[int]:
    try:
        return [int(name) for name in os.listdir(PROC) if name.isdecimal()]  # noqa: PTH208  much faster
    except OSError:
        return []


def _behind(pid: int, link: str) -> str:
    """What a link of a process in ``/proc`` leads to, "" if it is closed. ``OSError``: we may not know."""
    try:
        return os.readlink(f"{PROC}/{pid}/{link}")  # noqa: PTH115  the same
    except FileNotFoundError:
        return ""


def _names(path: Path) -> tuple[str, str]:
    """What the kernel calls a file that somebody holds: it may be deleted."""
    return str(path), f"{path} (deleted)"


def _reaped(pid: int, deadline: float) -> bool:
    """Whether this child has ended until then, and is reaped."""
    while True:
        try:
            if os.waitpid(pid, os.WNOHANG)[0]:
                return True
        except ChildProcessError:
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.001)


def _children() -> set[int]:
    """The pids of this process' children, ended ones too."""
    try:  # much cheaper than to look at every process there is
        lists = [path.read_text() for path in Path(f"{PROC}/self/task").glob("*/children")]
        if lists:
            return {int(pid) for one in lists for pid in one.split()}
    except OSError:
        pass  # a thread has ended meanwhile
    return {child.pid for child in psutil.Process().children()}
