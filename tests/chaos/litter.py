"""What the tasks of a round start and leave behind. Each such process notes itself, to be found again."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.managers import SyncManager
from pathlib import Path
from typing import NamedTuple

import psutil

from tests.nodes import marked

LONG_S = 600.0
"""Longer than any round: who is gone has been ended."""
PROGRAM = """
import os, pathlib, sys, time
pathlib.Path(sys.argv[1], str(os.getpid())).write_text("own")
time.sleep(600)
"""


class Left(NamedTuple):
    """A process that is still there."""

    process: psutil.Process
    has_own_session: bool


def left(directory: Path, mark: str) -> list[Left]:
    """Those of the cluster's processes that tasks have started: what has noted itself, and is alive."""
    return [
        Left(process, (directory / str(process.pid)).read_text() == "own")
        for process in marked(mark)
        if (directory / str(process.pid)).exists()
    ]


# -- what a task starts, and does not end


def fork(directory: Path) -> None:
    session = os.getsid(0)
    if os.fork() == 0:
        _idle(directory, session)


def fork_in_its_own_session(directory: Path) -> None:
    """It holds all that the task's process had open: its log, its line to Redis, its end of the socket."""
    session = os.getsid(0)
    if os.fork() == 0:
        os.setsid()
        _idle(directory, session)


def daemon(directory: Path) -> None:
    """As books tell to make one."""
    session = os.getsid(0)
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            _idle(directory, session)
        os._exit(0)
    os.wait()


def chain(directory: Path) -> None:
    """A child of a child, both in the session of the task."""
    session = os.getsid(0)
    if os.fork() == 0:
        if os.fork() == 0:
            _idle(directory, session)
        _idle(directory, session)


def pool(directory: Path) -> None:
    made = multiprocessing.get_context("fork").Pool(2, _note, (directory, os.getsid(0)))
    vars(multiprocessing)["kept"] = made  # it would end with the last reference


def manager(directory: Path) -> None:
    made = SyncManager(ctx=multiprocessing.get_context("fork"))
    made.start(_note, (directory, os.getsid(0)))
    vars(multiprocessing)["kept"] = made


def program(directory: Path) -> None:
    """In a session of its own, with the descriptors of the task."""
    subprocess.Popen([sys.executable, "-c", PROGRAM, str(directory)], start_new_session=True, close_fds=False)


KINDS: dict[str, Callable[[Path], None]] = {
    kind.__name__: kind for kind in (fork, fork_in_its_own_session, daemon, chain, pool, manager, program)
}


def _idle(directory: Path, session: int) -> None:
    """The rest of a forked child's life."""
    try:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _note(directory, session)
        time.sleep(LONG_S)
    finally:
        os._exit(0)


def _note(directory: Path, session: int) -> None:
    """``session``: that of the task."""
    (directory / str(os.getpid())).write_text("task" if os.getsid(0) == session else "own")
