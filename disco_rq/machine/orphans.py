"""The processes that tasks leave behind: adopted by the worker or its supervisor, and ended."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import sys
import time
from collections.abc import Collection
from pathlib import Path

import psutil

_log = logging.getLogger("disco_rq.orphans")

PATIENCE_S = 1.0
"""For how long a killed process is waited for."""
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


def end_strays(session: int, directory: Path, log: Path) -> None:
    """Kill what the tasks of a process that is gone have left running, and whose parents are gone, too.

    These are the processes that print to its ``log``, and in the ``session`` that it led those that work in
    its ``directory``: after a restart of the machine the session alone may be somebody else's.
    """
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            pid = process.pid
            if pid == os.getpid() or process.uids().real != os.getuid():
                continue
            prints_there = {_opened(pid, 1), _opened(pid, 2)} & {log, log.with_name(f"{log.name} (deleted)")}
            if prints_there or (os.getsid(pid) == session and _is_below(process.cwd(), directory)):
                told = "process %s, left by a task of a node that died, is ended"
                _log.warning(told, pid, extra={"action": "orphan"})
                kill(process)


def _opened(pid: int, fd: int) -> Path | None:
    """The file behind a descriptor of a process; None if that is none, or not to be known."""
    try:
        return Path(f"/proc/{pid}/fd/{fd}").readlink()
    except OSError:
        return None


def _is_below(path: str, directory: Path) -> bool:
    return path == str(directory) or path.startswith((f"{directory}/", f"{directory} (deleted)"))


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
        lists = [path.read_text() for path in Path("/proc/self/task").glob("*/children")]
        if lists:
            return {int(pid) for one in lists for pid in one.split()}
    except OSError:
        pass  # a thread has ended meanwhile
    return {child.pid for child in psutil.Process().children()}
