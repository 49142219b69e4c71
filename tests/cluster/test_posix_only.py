"""A cluster that uses nothing that only Linux has: no /proc, prctl, pidfd, nor waitid of its own.

Where a Mac differs in other ways, this does not show it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from disco_rq import Disco, JobError, Params, result_iterator
from disco_rq.runtime import data_err
from tests.cluster.conftest import processes_of, wait_until

MEMORY_MIB = 300


def started(workers: int) -> Disco:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DISCO_RQ_POSIX_ONLY", "on")
        patch.setenv("DISCO_RQ_TASK_MEMORY", f"{MEMORY_MIB}m")
        return Disco(workers=workers)


@pytest.fixture(scope="module")
def posix() -> Iterator[Disco]:
    with started(2) as cluster:
        yield cluster


def words(line: str, params: Any) -> Iterator[tuple[str, int]]:
    for word in line.split():
        yield word, 1


def total(pairs: Any, params: Any) -> Iterator[tuple[str, int]]:
    from disco_rq.func import kvgroup

    for word, counts in kvgroup(pairs):
        yield word, sum(counts)


def check(posix: Disco) -> None:
    """The next job runs."""
    job = posix.new_job("words", ["raw://a b", "raw://b c", "raw://c"], map=words, reduce=total, sort=True)
    assert sorted(result_iterator(job.wait(timeout=30))) == [("a", 1), ("b", 2), ("c", 2)]


def test_nothing_of_linux_is_used_there(posix: Disco) -> None:
    def look(line: str, params: Any) -> Iterator[tuple[str, bool]]:
        from disco_rq.machine import kernel

        yield kernel.PROC, kernel.prctl is None and kernel.pidfd_open is None and kernel.waitid is None

    job = posix.new_job("look", ["raw://x"], map=look)
    assert list(result_iterator(job.wait(timeout=30))) == [("/nowhere/proc", True)]
    check(posix)


def test_a_job_that_is_killed_leaves_nothing_running(posix: Disco, tmp_path: Path) -> None:
    def sleepy(line: str, params: Any) -> Iterator[tuple[str, int]]:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        Path(params.noted).write_text(f"{os.getpid()} {child.pid}")
        time.sleep(600)
        yield line, 1

    noted = tmp_path / "pids"
    job = posix.new_job("killed", ["raw://x"], map=sleepy, params=Params(noted=str(noted)))
    pids = wait_until(lambda: noted.exists() and [int(pid) for pid in noted.read_text().split()])
    assert len(pids) == 2
    job.kill()
    wait_until(lambda: not any(map(psutil.pid_exists, pids)))
    check(posix)


def test_a_horse_that_dies_is_noticed_and_its_task_done_again(posix: Disco, tmp_path: Path) -> None:
    def dies_once(line: str, params: Any) -> Iterator[tuple[str, int]]:
        marker = Path(params.marker)
        if not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        yield line, 1

    job = posix.new_job("dies", ["raw://x"], map=dies_once, params=Params(marker=str(tmp_path / "once")))
    assert list(result_iterator(job.wait(timeout=30))) == [("x", 1)]
    assert job.jobinfo()["mapi"][3] == 1


def test_a_task_that_holds_too_much_memory_is_ended_and_told(posix: Disco) -> None:
    def large(line: str, params: Any) -> Iterator[tuple[str, int]]:
        held = os.urandom(2 * MEMORY_MIB << 20)
        time.sleep(60)
        yield line, len(held)

    job = posix.new_job("large", ["raw://x"], map=large, max_failures=0)
    with pytest.raises(JobError, match=f"more than the {MEMORY_MIB} MiB that DISCO_RQ_TASK_MEMORY allows"):
        job.wait(timeout=30)
    check(posix)


def test_a_child_that_a_task_leaves_costs_nobody_a_slot(posix: Disco, tmp_path: Path) -> None:
    def leaves(line: str, params: Any) -> Iterator[tuple[str, int]]:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        yield line, child.pid

    job = posix.new_job("leaves", ["raw://x", "raw://y"], map=leaves)
    pids = [pid for _, pid in result_iterator(job.wait(timeout=30))]
    wait_until(lambda: not any(map(psutil.pid_exists, pids)))
    check(posix)


def test_a_task_that_fails_on_every_node_ends_its_job_with_the_cause(posix: Disco) -> None:
    def never(line: str, params: Any) -> Iterator[tuple[str, int]]:
        data_err("no good")
        yield line, 1

    with pytest.raises(JobError, match="no good"):
        posix.new_job("never", ["raw://x"], map=never, max_failures=1).wait(timeout=60)


def test_a_cluster_that_is_closed_leaves_no_process(tmp_path: Path) -> None:
    with started(1) as cluster:
        check(cluster)
        pids = [process.pid for process in processes_of(cluster)]
    assert len(pids) >= 3
    wait_until(lambda: not any(map(psutil.pid_exists, pids)))
