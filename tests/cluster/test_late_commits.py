"""What is done counts at once, however long the next task of its batch takes, and whatever becomes of it."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from disco_rq import Disco, Job, Params, result_iterator
from disco_rq.runtime import this_partition
from tests.cluster.conftest import wait_until
from tests.cluster.small_jobs import run

MAPS = 60
SLOW = 30
SOON_S = 5.0
"""50 ms, and patience with a busy machine: the slow task takes longer than this."""


@pytest.fixture(scope="module")
def single() -> Iterator[Disco]:
    with Disco(workers=1) as cluster:
        yield cluster


def nap(params: Any) -> None:
    """Other threads run meanwhile."""
    while not params.gate.exists():
        time.sleep(0.01)


def keep_the_interpreter(params: Any) -> None:
    """In C code, which no thread and no signal handler of this process interrupts."""
    re.match("(a+)+$", "a" * 60 + "b")


def slow_in_the_middle(entry: str, params: Any) -> list[tuple[int, int]]:
    if this_partition() == SLOW and not params.begun.exists():
        params.begun.write_text(str(os.getpid()))
        params.wait(params)
    return [(this_partition(), 1)]


def start(disco: Disco, directory: Path, wait: Any) -> Job:
    params = Params(gate=directory / "gate", begun=directory / "begun", wait=wait)
    inputs = [f"raw://{i}" for i in range(MAPS)]
    job = disco.new_job("late", inputs, map=slow_in_the_middle, params=params, nr_reduces=0)
    wait_until(lambda: (directory / "begun").exists() and (directory / "begun").read_text())
    return job


@pytest.mark.parametrize("wait", [nap, keep_the_interpreter])
def test_what_is_done_counts_while_the_next_task_takes_its_time(
    single: Disco, tmp_path: Path, wait: Any
) -> None:
    run(single, input=[f"raw://{i}" for i in range(MAPS)], map=lambda entry, params: [])  # how long they take
    job = start(single, tmp_path, wait)
    wait_until(lambda: job.jobinfo()["mapi"][2] >= SLOW, timeout_s=SOON_S)
    assert {one["attempt"] for i in range(SLOW) for one in job.story(f"map:{i}")} == {1}
    if wait is keep_the_interpreter:
        os.kill(int((tmp_path / "begun").read_text()), signal.SIGKILL)
    (tmp_path / "gate").touch()
    assert [n for n, _ in result_iterator(job.wait(timeout=30))] == list(range(MAPS))
    assert job.jobinfo()["mapi"][2] == MAPS


def test_what_a_process_had_done_when_it_was_killed_is_not_done_again(single: Disco, tmp_path: Path) -> None:
    def dies(entry: str, params: Any) -> list[tuple[int, int]]:
        if this_partition() == SLOW and not params.exists():
            params.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return [(this_partition(), 1)]

    inputs = [f"raw://{i}" for i in range(MAPS)]
    job = run(single, input=inputs, map=dies, params=tmp_path / "died", nr_reduces=0)
    assert [n for n, _ in result_iterator(job.wait())] == list(range(MAPS))
    assert {len(job.story(f"map:{i}")) for i in range(SLOW)} == {1}


@pytest.mark.parametrize("way", ["returns", "exits", "raises"])
def test_a_forked_child_that_comes_back_from_the_map_is_nobody(
    single: Disco, tmp_path: Path, way: str
) -> None:
    def forks(entry: str, params: Any) -> Iterator[tuple[str, int]]:
        yield entry, 0
        if os.fork() == 0:
            if params == "exits":
                sys.exit(0)
            if params == "raises":
                raise ValueError("in the child")
            yield entry, 2
        else:
            os.wait()
            yield entry, 1

    job = run(single, input=["raw://a", "raw://b"], map=forks, params=way, nr_reduces=0)
    assert list(result_iterator(job.wait())) == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
