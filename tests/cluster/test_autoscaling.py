"""What Kubernetes does to nodes: it adds them, takes them away in the middle of jobs, and leaves none."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from disco_rq.store import keys
from tests.cluster.conftest import wait_until
from tests.gated import GatedJob
from tests.kubernetes import container, plain
from tests.nodes import NodeCluster, Part
from tests.web.visitor import Visitor

pytestmark = pytest.mark.long  # `make long` runs it

SLOTS = 2


def slots_wanted(nodes: NodeCluster) -> int:
    """As the query of the autoscaler has it."""
    address = wait_until(lambda: nodes.connection.redis.get(keys.MASTER))
    told = Visitor(f"http://{address.decode()}").get("/metrics").body.decode()
    return int(sum(float(one) for one in re.findall(r"(?m)^disco_slots_wanted\{.*\} (.*)$", told)))


def leave_as_told(node: Part) -> subprocess.Popen[bytes]:
    """The hook of a node's pod, in whose container the node is process 1."""
    hook = container(plain("StatefulSet", "disco-node"))["lifecycle"]["preStop"]["exec"]["command"]
    assert [part for part in hook if re.search(r"kill -\w+ 1\b", part)]
    return subprocess.Popen([re.sub(r"(kill -\w+) 1\b", rf"\1 {node.pid}", part) for part in hook])


def scale(nodes: NodeCluster, replicas: int) -> None:
    """As a StatefulSet does it: those with the highest numbers go, and come back with their data."""
    for number in range(replicas):
        name = f"n{number}"
        if name not in nodes.nodes:
            nodes.node(name, slots=SLOTS)
        elif not nodes.nodes[name].is_running:
            nodes.nodes[name].start()
    for name, node in nodes.nodes.items():
        if int(name[1:]) >= replicas and node.is_running:
            hook = leave_as_told(node)
            assert node.wait() == 0
            hook.wait(10)


def test_a_node_that_is_scaled_away_ends_its_tasks_first(nodes: NodeCluster, tmp_path: Path) -> None:
    nodes.master()
    scale(nodes, 2)
    nodes.wait_ready()
    job = GatedJob(nodes.disco, tmp_path / "job", lines=4, max_failures=0)
    wait_until(lambda: len(job.traces("map")) == 4)
    # when one is told to go while its tasks run
    hook = leave_as_told(nodes.nodes["n1"])
    wait_until(lambda: "Node n1 takes no tasks: it is leaving" in job.history())
    assert hook.poll() is None, "Kubernetes would send its SIGTERM now, which would end the grace"
    job.open_gate("maps", "reduces")
    # then they count, and what it had is made again where it is needed
    assert nodes.nodes["n1"].wait() == 0
    assert hook.wait(10) == 0
    job.assert_right()
    assert job.job.jobinfo()["mapi"][3] == 0


def test_one_that_is_killed_when_its_time_is_over_costs_no_answer(nodes: NodeCluster, tmp_path: Path) -> None:
    nodes.master()
    scale(nodes, 2)
    nodes.wait_ready()
    job = GatedJob(nodes.disco, tmp_path / "job", lines=4)
    wait_until(lambda: len(job.traces("map")) == 4)
    hook = leave_as_told(nodes.nodes["n1"])
    wait_until(lambda: "Node n1 takes no tasks: it is leaving" in job.history())
    nodes.nodes["n1"].kill()
    hook.wait(10)
    job.open_gate("maps", "reduces")
    job.assert_right()


@pytest.mark.parametrize("lines", [5])
def test_from_no_node_to_as_many_as_are_wanted_and_back(
    nodes: NodeCluster, tmp_path: Path, lines: int
) -> None:
    nodes.master()
    assert slots_wanted(nodes) == 0
    for turn in ("first", "second"):
        job = GatedJob(nodes.disco, tmp_path / turn, lines=lines, max_failures=0)
        # when an autoscaler looks, then it is told of the maps, which may run, and not of the reduces
        wait_until(lambda: slots_wanted(nodes) == lines)
        scale(nodes, math.ceil(slots_wanted(nodes) / SLOTS))
        wait_until(lambda job=job: len(job.traces("map")) == lines)  # type: ignore[misc]
        assert slots_wanted(nodes) == lines
        job.open_gate("maps")
        wait_until(lambda: slots_wanted(nodes) == 2)
        scale(nodes, 2)
        job.open_gate("reduces")
        job.assert_right()
        assert job.failed_attempts() == 0
        wait_until(lambda: slots_wanted(nodes) == 0)
        scale(nodes, 0)


def test_a_paused_job_wants_no_slots_and_one_with_max_cores_no_more(
    nodes: NodeCluster, tmp_path: Path
) -> None:
    nodes.master()
    job = GatedJob(nodes.disco, tmp_path / "job", lines=5, scheduler={"max_cores": 3})
    wait_until(lambda: slots_wanted(nodes) == 3)
    job.job.pause()
    wait_until(lambda: slots_wanted(nodes) == 0)


def test_outputs_of_a_node_that_left_for_good_are_made_again_uncounted(
    nodes: NodeCluster, tmp_path: Path
) -> None:
    # given a job whose maps are done when their node goes with all that it has
    nodes.master()
    scale(nodes, 1)
    nodes.wait_ready()
    job = GatedJob(nodes.disco, tmp_path / "job", lines=2, max_failures=0)
    wait_until(lambda: len(job.traces("map")) == 2)
    job.job.pause()
    job.open_gate("maps", "reduces")
    wait_until(lambda: job.job.jobinfo()["mapi"][2] == 2)
    scale(nodes, 0)
    shutil.rmtree(nodes.data("n0"))
    # when another one comes, then it does them again, and none has failed
    nodes.node("n1", slots=SLOTS)
    job.job.resume()
    job.assert_right(60)
    assert job.failed_attempts() == 0
