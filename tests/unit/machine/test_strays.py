"""What the tasks of a node that died have left running is told from what is somebody else's."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from disco_rq.machine.orphans import Gone, end_strays
from disco_rq.outputs.datadir import TMP, DataDir, Scratch
from tests.cluster.conftest import wait_until

STRAY = """
import os, sys, time
tells = os.dup(2)
if sys.argv[2] == "elsewhere":
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
os.dup2(1, 2)
if os.fork():
    os._exit(0)
if sys.argv[1] == "own":
    os.setsid()
os.write(tells, b"%d\\n" % os.getpid())
time.sleep(600)
"""


@pytest.fixture
def data(tmp_path: Path) -> DataDir:
    data = DataDir(tmp_path)
    data.prepare()
    return data


@contextmanager
def stray(
    scratch: Scratch, session: str, prints: str, where: Path | None = None
) -> Iterator[tuple[int, int]]:
    """A process without a parent: the pid of who led its session, and its own."""
    command = [sys.executable, "-c", STRAY, session, prints]
    with scratch.log.open("ab") as log:
        parent = subprocess.Popen(
            command,
            cwd=where or scratch.directory,
            stdout=log,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    assert parent.stderr is not None
    pid = int(parent.stderr.readline())
    parent.stderr.close()
    parent.wait()
    try:
        yield parent.pid, pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def is_gone(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def scratch_of(data: DataDir, pid: int = 1) -> Scratch:
    scratch = data.scratch("n1.0-abcdef", pid)
    scratch.directory.mkdir(exist_ok=True)
    return scratch


@pytest.mark.parametrize(("session", "prints"), [("task", "here"), ("task", "elsewhere"), ("own", "here")])
def test_who_prints_to_the_log_or_works_on_in_the_session_is_ended(
    data: DataDir, session: str, prints: str
) -> None:
    scratch = scratch_of(data)
    with stray(scratch, session, prints) as (leader, pid):
        end_strays([Gone(leader, scratch.directory, scratch.log)])

        wait_until(lambda: is_gone(pid))


def test_others_are_left_alone(data: DataDir, tmp_path: Path) -> None:
    scratch = scratch_of(data)
    # one in a session of its own, which prints elsewhere; and one of another program's session
    with (
        stray(scratch, "own", "elsewhere") as (leader, pid),
        stray(scratch, "task", "elsewhere", where=tmp_path) as (other_leader, other),
    ):
        end_strays([Gone(leader, scratch.directory, scratch.log)])
        end_strays([Gone(other_leader, scratch.directory, scratch.log)])

        assert not is_gone(pid)
        assert not is_gone(other)


def test_a_worker_that_begins_ends_them_and_deletes_what_they_wrote(data: DataDir) -> None:
    # given a task's process that is gone, and what it has started; and one that is alive
    first = scratch_of(data)
    with stray(first, "task", "here") as (leader, pid):
        scratch = scratch_of(data, leader)
        first.log.rename(scratch.log)
        alive = scratch_of(data, os.getpid())

        data.sweep("n1.1-abcdef")

        wait_until(lambda: is_gone(pid))
        assert not scratch.directory.exists()
        assert not scratch.log.exists()
        assert alive.directory.exists()


def test_who_had_the_place_before_is_gone_whatever_the_pid_says(data: DataDir) -> None:
    """A dead process is there until somebody reaps it, and then its pid may be another one's."""
    names = ["n1.0-aaaaaa", "n1.0-abcdef", "n1.1-aaaaaa", "n1.0-x-aaaaaa", "other"]
    for name in names:
        scratch = data.scratch(name, os.getpid())
        scratch.directory.mkdir()
        for file in (scratch.out, scratch.log):
            file.touch()

    data.sweep("n1.0-abcdef")

    left = {entry.name.removesuffix(".out").removesuffix(".log") for entry in (data.root / TMP).iterdir()}
    assert left == {f"{name}.{os.getpid()}" for name in names[1:]}
