"""A node whose disk is full: its tasks move, it takes no more, and it takes them again when there is room."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from disco_rq import Params, result_iterator
from disco_rq.machine.load import disk_room
from tests.cluster.conftest import wait_until
from tests.nodes import NodeCluster

DISK_MB = 64


@pytest.fixture
def small_disk(nodes: NodeCluster) -> Iterator[Path]:
    """A file system of its own for the data of node ``small``."""
    directory = nodes.data("small")
    directory.mkdir()
    size = f"size={DISK_MB}m,mode=700"
    mount = ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(directory)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this user may not mount a small disk")
    yield directory
    for part in nodes.nodes.values():
        part.kill()
    subprocess.run(["umount", "-l", str(directory)], check=True)


def many_bytes(line: str, params: Any) -> Iterator[tuple[int, bytes]]:
    """More than the small disk holds."""
    for number in range(DISK_MB + 16):
        yield number, os.urandom(1 << 20)


def closed(nodes: NodeCluster, node: str) -> str:
    known = {one["node"]: one["closed"] for one in nodes.disco.nodeinfo()["available"]}
    return str(known.get(node, ""))


def test_a_task_that_fills_the_disk_is_done_by_a_node_with_room(nodes: NodeCluster, small_disk: Path) -> None:
    # given a node with little room, and one with enough that comes later
    nodes.master()
    nodes.node("small")
    nodes.wait_ready()
    job = nodes.disco.new_job("fills", ["raw://x"], map=many_bytes, mem_sort_limit=1 << 20, max_failures=99)
    wait_until(lambda: job.jobinfo()["mapi"][3] >= 1, timeout_s=30)
    # when that has failed
    [first, *_] = job.story("map:0")
    assert "No space left on device" in first["error"]
    assert first["outcome"] == "data"
    nodes.node("large")
    # then the other does it, and nothing is left of the failed attempt
    assert len(list(result_iterator(job.wait(timeout=60)))) == DISK_MB + 16
    assert job.story("map:0")[-1]["node"] == "large"
    wait_until(lambda: disk_room(small_disk, None)[0] > (DISK_MB - 2) << 20)


def pairs(line: str, params: Any) -> list[tuple[str, str]]:
    (Path(params.directory) / line).touch()
    return [(line, line)]


def test_a_full_node_takes_no_tasks_until_there_is_room(
    nodes: NodeCluster, small_disk: Path, tmp_path: Path
) -> None:
    # given a node whose disk something else has filled
    nodes.master()
    nodes.node("small")
    nodes.wait_ready()
    filler = small_disk / "somebody-elses"
    with filler.open("wb") as file:
        file.write(bytes((DISK_MB - 2) << 20))
    wait_until(lambda: closed(nodes, "small") == "less than 3 MiB of its disk is free")
    wait_until(lambda: "no tasks here" in nodes.nodes["small"].said)
    # when a job comes
    job = nodes.disco.new_job("waits", ["raw://a"], map=pairs, params=Params(directory=str(tmp_path)))
    told = "No node takes tasks (small: less than 3 MiB of its disk is free): the job waits for one"
    wait_until(lambda: told in [line for _, (_, _, line) in job.events()])
    assert list(tmp_path.iterdir()) == []
    # then it waits, and goes on when there is room
    filler.unlink()
    assert list(result_iterator(job.wait(timeout=30))) == [("a", "a")]
    assert closed(nodes, "small") == ""
    assert "Node small takes tasks again" in [line for _, (_, _, line) in job.events()]


def test_the_room_that_a_node_wants_can_be_said(nodes: NodeCluster) -> None:
    nodes.environment["DISCO_RQ_MIN_FREE"] = "900t"
    nodes.master()
    nodes.node("n1")
    wait_until(lambda: closed(nodes, "n1").startswith("less than 943718400 MiB"))
