"""What a task may use of its node: memory, and disk for what it prints."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from disco_rq import DataError, JobError, Params, result_iterator
from disco_rq.attempt.log import GROWTH_CAP, LOG_CAP
from disco_rq.machine.memory import memory_of
from disco_rq.runtime import this_host
from tests.cluster.conftest import wait_until
from tests.nodes import NodeCluster

LIMIT_MB = 150
GROW = "import time; held = [bytearray(b'x') * (10 << 20) for _ in range(40)]; time.sleep(60)"


def grows(line: str, params: Any) -> list[tuple[str, int]]:
    if line == "big":
        print("before it grew")
        held = [bytearray(b"x") * (10 << 20) for _ in range(40)]
        time.sleep(len(held))
    return [(line, 1)]


def child_grows(line: str, params: Any) -> list[tuple[str, int]]:
    if line == "big":
        subprocess.run([sys.executable, "-c", GROW], start_new_session=True)
    return [(line, 1)]


@pytest.fixture(scope="module")
def limited() -> Iterator[NodeCluster]:
    """A cluster whose node allows a task little memory."""
    with NodeCluster() as cluster:
        cluster.environment["DISCO_RQ_TASK_MEMORY"] = f"{LIMIT_MB}m"
        cluster.master()
        cluster.node("small")
        cluster.wait_ready()
        yield cluster


@pytest.mark.parametrize("function", [grows, child_grows])
def test_a_task_that_holds_too_much_memory_fails_and_says_so(limited: NodeCluster, function: Any) -> None:
    job = limited.disco.new_job("big", ["raw://big"], map=function, max_failures=1)

    with pytest.raises(JobError) as told:
        job.wait(timeout=40)

    assert "TaskMemoryExceeded: the processes of the task held" in str(told.value)
    assert f"more than the {LIMIT_MB} MiB that DISCO_RQ_TASK_MEMORY allows on node small" in str(told.value)
    assert "map:0, attempt 2 on small" in str(told.value)  # it was re-run, like that of a lost worker
    if function is grows:
        assert job.log("map:0") == "before it grew\n"


def test_after_a_task_that_was_too_large_others_run(limited: NodeCluster) -> None:
    job = limited.disco.new_job("mixed", ["raw://big", "raw://small"], map=grows, max_failures=0)
    with pytest.raises(JobError, match="TaskMemoryExceeded"):
        job.wait(timeout=30)

    job = limited.disco.new_job("small", ["raw://small"], map=grows)
    assert list(result_iterator(job.wait(timeout=30))) == [("small", 1)]


def test_a_task_too_large_for_one_node_is_done_by_one_that_allows_more(nodes: NodeCluster) -> None:
    nodes.environment["DISCO_RQ_TASK_MEMORY"] = f"{LIMIT_MB}m"
    nodes.master()
    nodes.node("small")
    del nodes.environment["DISCO_RQ_TASK_MEMORY"]
    nodes.node("large")
    nodes.wait_ready()
    nodes.disco.blacklist("large")

    def grows_for_a_while(line: str, params: Any) -> list[tuple[str, int]]:
        held = [bytearray(b"x") * (10 << 20) for _ in range(30)]
        time.sleep(60 if this_host() == "small" else 0)  # there it is ended
        return [(line, len(held))]

    job = nodes.disco.new_job("moves", ["raw://big"], map=grows_for_a_while)
    wait_until(lambda: job.jobinfo()["mapi"][3] == 1)
    nodes.disco.whitelist("large")

    assert list(result_iterator(job.wait(timeout=30))) == [("big", 30)]
    assert [one["node"] for one in job.story("map:0")][-1] == "large"


def test_memory_that_forked_processes_share_is_counted_once(tmp_path: Path) -> None:
    gate = tmp_path / "forked"
    program = f"""
import os, pathlib, time
held = bytearray(b"x") * (100 << 20)
if os.fork() and os.fork():
    pathlib.Path({str(gate)!r}).touch()
time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", program], process_group=0)
    try:
        wait_until(gate.exists)
        assert 100 << 20 < memory_of(process.pid) < 150 << 20
    finally:
        subprocess.run(["kill", "-9", "--", f"-{process.pid}"])
        process.wait()


def test_a_print_in_a_loop_does_not_fill_the_disk(nodes: NodeCluster, tmp_path: Path) -> None:
    # given a task that prints for ever
    def prints(line: str, params: Any) -> list[tuple[str, int]]:
        number = 0
        while not Path(params.directory, "enough").exists():
            print("\n".join(f"line {number + i}" for i in range(10_000)))
            number += 10_000
            print("total", number)
            time.sleep(0.01)  # so that it takes many seconds to outrun the one who cuts
        print("the end")
        return [(line, number)]

    nodes.master()
    nodes.node("n1")
    nodes.wait_ready()
    job = nodes.disco.new_job("prints", ["raw://x"], map=prints, params=Params(directory=str(tmp_path)))
    [log] = wait_until(
        lambda: [path for path in (nodes.data("n1") / "tmp").glob("*.log") if path.stat().st_size]
    )
    # when it has printed a lot
    longest, cuts, size = 0, 0, 0
    while cuts < 5:
        before, size = size, log.stat().st_size
        cuts += size < before
        longest = max(longest, size)
        time.sleep(0.005)
    (tmp_path / "enough").touch()
    [(_, lines)] = result_iterator(job.wait(timeout=30))
    # then the file was cut each time, and of the attempt's log the beginning and the end are kept
    assert lines * 8 > 3 * GROWTH_CAP
    assert longest < 30 * GROWTH_CAP
    kept = job.log("map:0")
    assert len(kept) <= LOG_CAP
    assert kept.startswith("line 0\nline 1\n")
    assert kept.endswith("the end\n")
    assert "bytes left out" in kept


def test_the_kind_of_the_error_is_one_of_our_tree() -> None:
    from disco_rq.errors import TaskMemoryExceeded

    assert issubclass(TaskMemoryExceeded, DataError)
