"""A check runs on another node than its map, and is told at the command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from disco_rq import JobError
from disco_rq.runtime import this_host
from tests.cluster.user import User
from tests.nodes import NodeCluster


@pytest.fixture
def two(nodes: NodeCluster) -> NodeCluster:
    nodes.master()
    for name in ("A", "B"):
        nodes.node(name)
    nodes.wait_ready()
    return nodes


def same(line: str, params: Any) -> Iterator[tuple[str, int]]:
    yield line, 1


def of_host(line: str, params: Any) -> Iterator[tuple[str, str]]:
    yield line, this_host()


@pytest.mark.long
def test_each_check_runs_on_the_other_node(two: NodeCluster) -> None:
    job = two.disco.new_job("checked", [f"raw://{i}" for i in range(6)], map=same, nr_reduces=2, check=1)
    job.wait(timeout=60)

    def node_of(task: str) -> str:
        return str(job.story(task)[-1]["node"])

    assert all(node_of(f"map:{i}") != node_of(f"check:{i}") for i in range(6))


def test_what_differs_from_node_to_node_is_found(two: NodeCluster) -> None:
    job = two.disco.new_job("checked", ["raw://a"], map=of_host, nr_reduces=2, check=1)

    with pytest.raises(JobError, match=r"map:0 is not deterministic.* first at the key 'a'"):
        job.wait(timeout=60)


def test_run_and_info_tell_what_was_checked(two: NodeCluster, tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text("def map(line, params):\n    yield line, 1\n")
    (tmp_path / "lines").write_text("a\nb\n")
    user = User(tmp_path, two.url)

    seen = user.types("run", "p.py", "--check", "100%", "lines")

    assert "maps checked 1/1; " in seen.err
    [line] = [line for line in user.types("info", "@").lines if "maps checked" in line]
    assert "1/1" in line
    assert user.types("info", "@", "--json").json["check"]["done"] == 1
