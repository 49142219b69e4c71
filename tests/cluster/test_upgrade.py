"""A cluster is upgraded to another protocol in the middle of a job, in the order that ops/README.md gives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from disco_rq.errors import UnfitNodes
from tests.cluster.conftest import wait_until
from tests.gated import GatedJob
from tests.nodes import REPOSITORY, NodeCluster, Part

LATER = "tests.cluster.other_version"


def pairs(line: str, params: Any) -> list[tuple[str, int]]:
    return [(line, 1)]


def later_node(nodes: NodeCluster, name: str) -> Part:
    """The node of that name as it is after the upgrade, with its old directory."""
    options = ["--node", name, "--slots", "1", "--data", str(nodes.data(name))]
    return nodes.program(f"{name}-later", [LATER, "node", *options])


def run_by_later_client(nodes: NodeCluster) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", LATER, "run", "disco_rq.examples.wordcount", "raw://a b a"]
    return subprocess.run(command, cwd=REPOSITORY, env=nodes.environment, capture_output=True, text=True)


def test_masters_then_nodes_then_clients_are_upgraded_and_no_job_is_harmed(
    nodes: NodeCluster, tmp_path: Path
) -> None:
    # given a cluster with a job that runs
    nodes.environment["DISCO_RQ_GRACE"] = "1"
    master = nodes.master()
    for name in ("n1", "n2"):
        nodes.node(name)
    nodes.wait_ready()
    old_job = GatedJob(nodes.disco, tmp_path, max_failures=0)
    wait_until(lambda: len(old_job.traces("map")) == 2)
    # when the master is upgraded, and then the first node
    assert master.terminate() == 0
    nodes.program("master-later", [LATER, "master"])
    assert nodes.nodes["n1"].terminate() == 0
    later_node(nodes, "n1")
    wait_until(lambda: nodes.slots("n1") == 1)
    # then the node that is left does the job of before, with nothing lost and nothing failed
    old_job.open_gate("maps", "reduces")
    old_job.assert_right()
    assert old_job.failed_attempts() == 0
    # and when the last node and the clients are upgraded, jobs go on
    assert nodes.nodes["n2"].terminate() == 0
    later_node(nodes, "n2")
    wait_until(lambda: nodes.slots("n2") == 1)
    done = run_by_later_client(nodes)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.split("\n")) == ["", "a\t2", "b\t1"]
    # while a client of before is told that it has to be upgraded, too
    with pytest.raises(UnfitNodes, match="protocol 99"):
        nodes.disco.new_job("late", ["raw://x"], map=pairs)
