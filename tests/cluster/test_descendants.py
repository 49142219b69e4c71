"""Whatever a task has started, and however its process ends: the slot is free, and the next job runs."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from disco_rq import Disco, Job, Params
from disco_rq.store import keys
from tests.cluster.conftest import processes_of, wait_until
from tests.cluster.small_jobs import run
from tests.nodes import NodeCluster

SOON_S = 10.0
"""Two seconds, and patience with a busy machine."""
SLEEP_S = 600.0
MEMORY_MIB = 300


@pytest.fixture(scope="module")
def single() -> Iterator[Disco]:
    """One worker: a slot that is lost is all there is."""
    os.environ["DISCO_RQ_TASK_MEMORY"] = f"{MEMORY_MIB}m"
    try:
        with Disco(workers=1) as cluster:
            yield cluster
    finally:
        del os.environ["DISCO_RQ_TASK_MEMORY"]


# -- what a task starts: each returns the pids


def fork() -> list[int]:
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(SLEEP_S)
        os._exit(0)
    return [pid]


def fork_in_its_own_session() -> list[int]:
    pid = os.fork()
    if pid == 0:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(SLEEP_S)
        os._exit(0)
    return [pid]


def double_fork() -> list[int]:
    """A daemon, as books tell to make one; it keeps the log and all other descriptors."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.write(writer, str(os.getpid()).encode())
            time.sleep(SLEEP_S)
        os._exit(0)
    os.wait()
    return [int(os.read(reader, 20))]


def pool() -> list[int]:
    made = multiprocessing.get_context("fork").Pool(2)
    vars(multiprocessing)["kept"] = made  # it would end with the last reference
    return [child.pid for child in multiprocessing.active_children() if child.pid]


def manager() -> list[int]:
    made = multiprocessing.get_context("fork").Manager()
    vars(multiprocessing)["kept"] = made
    return [child.pid for child in multiprocessing.active_children() if child.pid]


def program_in_its_own_session() -> list[int]:
    code = f"import time; time.sleep({SLEEP_S})"
    return [subprocess.Popen([sys.executable, "-c", code], start_new_session=True).pid]


def thread() -> list[int]:
    threading.Thread(target=time.sleep, args=[SLEEP_S]).start()
    return []


KINDS: list[Callable[[], list[int]]] = [
    fork,
    fork_in_its_own_session,
    double_fork,
    pool,
    manager,
    program_in_its_own_session,
    thread,
]


def start_and_go_on(entry: str, params: Any) -> Iterator[tuple[str, int]]:
    """Start what ``params.start`` says, tell of it, and end in one of the ways that there are."""
    if Path(params.dir, "pids").exists():  # again, after the first attempt was lost
        yield entry, 1
        return
    pids = [os.getpid(), *params.start()]
    Path(params.dir, "aside").write_text(" ".join(map(str, pids)))
    Path(params.dir, "aside").rename(Path(params.dir, "pids"))
    if params.end == "exits":
        os._exit(0)
    if params.end == "raises":
        raise ValueError("on purpose")
    if params.end == "takes memory":
        held = bytearray(MEMORY_MIB * 2 << 20)
        held[::4096] = b"x" * len(held[::4096])
    until = time.monotonic() + (0 if params.end == "returns" else SLEEP_S)
    while time.monotonic() < until:
        try:
            time.sleep(SLEEP_S)
        except Exception:
            if params.end != "catches its timeout":
                raise
    yield entry, 1


def is_gone(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def start(disco: Disco, directory: Path, kind: Callable[[], list[int]], end: str, **more: Any) -> Job:
    params = Params(dir=str(directory), start=kind, end=end)
    return disco.new_job("descends", ["raw://x"], map=start_and_go_on, params=params, **more)


def pids_in(directory: Path) -> list[int]:
    wait_until((directory / "pids").exists)
    return [int(pid) for pid in (directory / "pids").read_text().split()]


def assert_the_slot_is_free(disco: Disco, job: Job, pids: list[int]) -> None:
    """Nothing is left of the task, no lease either, and the next job runs."""
    wait_until(lambda: all(map(is_gone, pids)), timeout_s=SOON_S)
    wait_until(lambda: job.results()[0] != "active", timeout_s=SOON_S)
    assert run(disco, map=lambda entry, params: [(entry, 1)])
    wait_until(lambda: not disco.session.connection.redis.zcard(keys.LEASES), timeout_s=SOON_S)
    assert disco.nodeinfo()["active"] == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("end", ["returns", "exits", "raises", "takes memory"])
def test_a_task_that_ends_frees_its_slot(
    single: Disco, tmp_path: Path, kind: Callable[[], list[int]], end: str
) -> None:
    job = start(single, tmp_path, kind, end)
    assert_the_slot_is_free(single, job, pids_in(tmp_path))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("end", ["is killed", "its job is killed", "its job is purged"])
def test_a_task_that_is_ended_frees_its_slot(
    single: Disco, tmp_path: Path, kind: Callable[[], list[int]], end: str
) -> None:
    job = start(single, tmp_path, kind, "waits")
    pids = pids_in(tmp_path)
    if end == "is killed":
        os.kill(pids[0], signal.SIGKILL)
    elif end == "its job is killed":
        job.kill()
    else:
        job.purge()
    assert_the_slot_is_free(single, job, pids)


@pytest.mark.parametrize("kind", KINDS)
def test_a_task_that_meets_its_time_limit_frees_its_slot(
    single: Disco, tmp_path: Path, kind: Callable[[], list[int]]
) -> None:
    job = start(single, tmp_path, kind, "waits", task_timeout=0.3)
    assert_the_slot_is_free(single, job, pids_in(tmp_path))


@pytest.mark.parametrize("kind", [fork_in_its_own_session, thread])
def test_a_task_that_ignores_its_time_limit_frees_its_slot(
    single: Disco, tmp_path: Path, kind: Callable[[], list[int]]
) -> None:
    job = start(single, tmp_path, kind, "catches its timeout", task_timeout=0.3)
    assert_the_slot_is_free(single, job, pids_in(tmp_path))
    assert "TaskTimeout" in job.jobinfo()["cause"]["message"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_worker_that_is_told_to_leave_takes_all_with_it(
    single: Disco, tmp_path: Path, kind: Callable[[], list[int]]
) -> None:
    job = start(single, tmp_path, kind, "waits")
    pids = pids_in(tmp_path)
    worker = psutil.Process(pids[0]).parent()
    assert worker is not None
    worker.terminate()
    wait_until(lambda: _said_twice(worker))
    assert_the_slot_is_free(single, job, pids)


def _said_twice(worker: psutil.Process) -> bool:
    """RQ takes a second signal for one only after a second: say it until it is heard."""
    try:
        worker.terminate()
        worker.wait(1.2)
    except psutil.TimeoutExpired:
        return False
    except psutil.NoSuchProcess:
        pass
    return True


@pytest.mark.parametrize("kind", KINDS)
def test_a_cluster_that_is_closed_takes_all_with_it(tmp_path: Path, kind: Callable[[], list[int]]) -> None:
    with Disco(workers=1) as disco:
        start(disco, tmp_path, kind, "waits")
        pids = [*pids_in(tmp_path), *(process.pid for process in processes_of(disco))]
    wait_until(lambda: all(map(is_gone, pids)), timeout_s=SOON_S)


@pytest.mark.parametrize("kind", [fork, fork_in_its_own_session, manager])
def test_what_a_node_that_died_could_not_end_is_ended_when_it_begins_again(
    nodes: NodeCluster, tmp_path: Path, kind: Callable[[], list[int]]
) -> None:
    nodes.master()
    node = nodes.node("n1")
    nodes.wait_ready()
    start(nodes.disco, tmp_path, kind, "waits")
    pids = pids_in(tmp_path)

    node.behead()  # as the kernel does when memory runs out: nobody is there to reap them
    node.start()

    wait_until(lambda: all(map(is_gone, pids)))
    assert run(nodes.disco, map=lambda entry, params: [(entry, 1)])


def test_a_status_of_0_in_the_middle_of_a_task_is_told_as_it_was(single: Disco, tmp_path: Path) -> None:
    job = single.new_job("exits", ["raw://x"], map=lambda entry, params: os._exit(0), max_failures=0)
    wait_until(lambda: job.results()[0] == "dead")
    assert "exited with status 0 in the middle of the task" in job.jobinfo()["cause"]["message"]
