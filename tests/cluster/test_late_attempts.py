"""Attempts that end when their job is gone: they take nothing with them, and leave nothing."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from disco_rq import Job, result_iterator
from tests.cluster.conftest import wait_until
from tests.nodes import NodeCluster


def slow_once(entry: str, directory: Path) -> Iterator[tuple[str, int]]:
    """The first attempt at ``slow`` waits for a gate."""
    if entry == "slow":
        try:
            with open(directory / "pid", "x") as file:
                file.write(str(os.getpid()))
        except FileExistsError:
            pass
        else:
            while not (directory / "gate").exists():
                time.sleep(0.01)
    yield entry, 1


def says_and_fails(entry: str, directory: Path) -> None:
    print("something")
    (directory / "runs").touch()
    while not (directory / "gate").exists():
        time.sleep(0.001)
    raise ValueError(entry)


def test_one_that_comes_back_when_its_job_was_cleaned_leaves_the_results(
    nodes: NodeCluster, tmp_path: Path
) -> None:
    # given a job whose worker is stopped in a task, which another one does then; and that is cleaned
    nodes.master()
    node = nodes.node("n1", slots=2)
    nodes.wait_ready()
    job = nodes.disco.new_job("late", ["raw://fast", "raw://slow"], map=slow_once, params=tmp_path)
    wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    worker = psutil.Process(int((tmp_path / "pid").read_text())).parent()
    assert worker is not None
    family = [worker, *worker.children(recursive=True)]
    for process in family:
        process.send_signal(signal.SIGSTOP)
    results = job.wait(timeout=60, clean=True)
    # when that worker comes back, and ends its task
    (tmp_path / "gate").touch()
    for process in family:
        process.send_signal(signal.SIGCONT)
    wait_until(lambda: f"{job.name} map:1/1" in node.said)
    # then the results, which cleaning keeps, are there, and nothing of the late attempt
    assert sorted(result_iterator(results)) == [("fast", 1), ("slow", 1)]
    directory = nodes.data("n1") / job.name
    kept = {".kept", "map-0.1", "map-1.2"}
    wait_until(lambda: {path.name for path in directory.iterdir()} == kept)


def test_one_that_fails_around_the_purge_of_its_job_leaves_no_file(
    nodes: NodeCluster, tmp_path: Path
) -> None:
    nodes.master()
    nodes.node("n1")
    nodes.wait_ready()

    def purge_around(delay_s: float) -> Job:
        directory = tmp_path / str(delay_s)
        directory.mkdir()
        job = nodes.disco.new_job("purged", ["raw://x"], map=says_and_fails, params=directory)
        wait_until(lambda: (directory / "runs").exists())
        fails = threading.Timer(delay_s, (directory / "gate").touch)
        fails.start()
        job.purge()
        fails.join()
        return job

    jobs = [purge_around(delay_s / 1000) for delay_s in range(0, 24, 4)]
    # when the worker is through with them
    nodes.disco.new_job("after", ["raw://x"], map=slow_once).wait(timeout=30)
    # then
    wait_until(lambda: [job.name for job in jobs if (nodes.data("n1") / job.name).exists()] == [])
