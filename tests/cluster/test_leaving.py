"""Nodes and masters that are told to end, in the middle of jobs; nodes of another version."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

from disco_rq import result_iterator
from disco_rq.settings import GRACE_S
from tests.cluster.conftest import wait_until
from tests.gated import GatedJob
from tests.nodes import NodeCluster, Part, send


def test_a_node_that_is_told_to_end_lets_its_task_finish(nodes: NodeCluster, tmp_path: Path) -> None:
    # given a node with a task, and one more in its queue
    nodes.master()
    node = nodes.node("n1")
    nodes.wait_ready()
    job = GatedJob(nodes.disco, tmp_path, lines=2)
    wait_until(lambda: len(job.traces("map")) == 1)
    # when it is told to end, it takes no more, and says why
    node.ask_to_end()
    wait_until(lambda: closed(nodes, "n1") == "it is leaving")
    wait_until(lambda: "Node n1 takes no tasks: it is leaving" in job.history())
    wait_until(lambda: "No node takes tasks (n1: it is leaving): the job waits for one" in job.history())
    # then the task may end, and counts
    job.open_gate("maps", "reduces")
    assert node.wait() == 0
    assert job.job.jobinfo()["mapi"] == [1, 0, 1, 0]
    # and the node that comes back does the rest
    node.start()
    job.assert_right()
    assert job.failed_attempts() == 0
    assert len(job.traces("map")) == 2
    assert closed(nodes, "n1") == ""


def test_a_node_that_was_told_to_end_has_left_and_one_that_died_is_gone(nodes: NodeCluster) -> None:
    nodes.master()
    told, died = nodes.node("n1"), nodes.node("n2")
    nodes.wait_ready()

    def states() -> dict[str, str]:
        return {one["node"]: one["state"] for one in nodes.disco.nodeinfo()["available"]}

    assert told.terminate() == 0
    died.kill()

    wait_until(lambda: states() == {"n1": "left", "n2": "gone"})
    told.start()
    wait_until(lambda: states()["n1"] == "alive")


def closed(nodes: NodeCluster, node: str) -> str:
    [known] = [one for one in nodes.disco.nodeinfo()["available"] if one["node"] == node]
    return str(known["closed"])


def test_what_does_not_end_in_time_is_handed_back_uncounted(nodes: NodeCluster, tmp_path: Path) -> None:
    # given a node with little patience, and a task that takes longer
    nodes.environment["DISCO_RQ_GRACE"] = "1.5"
    nodes.master()
    node = nodes.node("n1", slots=2)
    nodes.wait_ready()
    job = GatedJob(nodes.disco, tmp_path, lines=4, max_failures=0)
    wait_until(lambda: len(job.traces("map")) == 2)
    # when it is told to end
    began = time.monotonic()
    assert node.terminate() == 0
    # then it does so soon, and nothing of it runs or is held any more
    assert 1.5 < time.monotonic() - began < GRACE_S / 2  # which it would have had by default
    assert job.job.jobinfo()["mapi"] == [4, 0, 0, 0]
    assert nodes.disco.nodeinfo()["active"] == []
    # and what it had is done by another
    nodes.node("n2", slots=2)
    job.open_gate("maps", "reduces")
    job.assert_right()
    assert job.failed_attempts() == 0
    assert {one["outcome"] for i in range(4) for one in job.job.story(f"map:{i}")} == {"release", "done"}


def test_a_second_signal_hurries(nodes: NodeCluster, tmp_path: Path) -> None:
    nodes.master()
    node = nodes.node("n1")
    nodes.wait_ready()
    job = GatedJob(nodes.disco, tmp_path, lines=1)
    wait_until(lambda: job.traces("map"))
    node.ask_to_end()
    wait_until(lambda: closed(nodes, "n1"))
    assert node.is_running

    began = time.monotonic()
    assert node.terminate() == 0

    assert time.monotonic() - began < GRACE_S / 2
    assert job.job.jobinfo()["mapi"] == [1, 0, 0, 0]


def test_the_files_of_a_node_that_leaves_are_served_until_its_tasks_have_ended(
    nodes: NodeCluster, tmp_path: Path
) -> None:
    nodes.master()
    node = nodes.node("n1")
    nodes.wait_ready()
    [server] = [one for one in node.processes()[1:] if one not in node.workers() and one not in node.horses()]
    job = GatedJob(nodes.disco, tmp_path, lines=1)
    wait_until(lambda: job.traces("map"))

    node.ask_to_end()
    wait_until(lambda: closed(nodes, "n1"))
    told_at = time.monotonic()
    while time.monotonic() - told_at < 1.5:  # longer than it takes to end when it is told to
        assert server.is_running()
        time.sleep(0.05)

    job.open_gate("maps")
    assert node.wait() == 0
    assert not server.is_running()


def test_everything_is_restarted_in_the_middle_of_a_job(nodes: NodeCluster, tmp_path: Path) -> None:
    # given two masters, three nodes, and a job whose tasks do not end
    nodes.environment["DISCO_RQ_GRACE"] = "1"
    masters = [nodes.master(), nodes.master()]
    for name in ("n1", "n2", "n3"):
        nodes.node(name)
    nodes.wait_ready()
    job = GatedJob(nodes.disco, tmp_path, lines=6, max_failures=0)
    wait_until(lambda: len(job.traces("map")) >= 3)

    def restart_all() -> None:
        for part in (nodes.nodes["n1"], masters[0], nodes.nodes["n2"], masters[1], nodes.nodes["n3"]):
            assert part.terminate() == 0
            part.start()

    # when all are restarted, one after the other, in the maps and in the reduces
    restart_all()
    job.open_gate("maps")
    wait_until(lambda: len(job.traces("reduce")) >= 2, timeout_s=30)
    restart_all()
    job.open_gate("reduces")
    # then the answer is right, and no attempt counts as failed
    job.assert_right()
    assert job.failed_attempts() == 0


def pairs(line: str, params: Any) -> list[tuple[str, int]]:
    return [(line, 1)]


def pretender(nodes: NodeCluster, name: str) -> Part:
    """A node of another version."""
    options = ["--node", name, "--slots", "1", "--data", str(nodes.data(name))]
    return nodes.program(name, ["tests.cluster.other_version", "node", *options])


def test_a_node_of_another_version_hands_tasks_back_to_others(nodes: NodeCluster) -> None:
    nodes.master()
    # given a job, submitted before the first node came, and that this one is of another version
    job = nodes.disco.new_job("skew", [f"raw://{i}" for i in range(20)], map=pairs, max_failures=0)
    pretender(nodes, "later")
    waits = "No node here can run it: the job waits for another"
    wait_until(lambda: any(waits in line and "protocol 99" in line for _, (_, _, line) in job.events()))
    # when one of the job's version comes
    nodes.node("same")
    # then it does all, and nothing counts as failed
    assert len(list(result_iterator(job.wait(timeout=30)))) == 20
    assert job.jobinfo()["mapi"] == [0, 0, 20, 0]
    done = {
        record["node"] for i in range(20) for record in job.story(f"map:{i}") if record["outcome"] == "done"
    }
    assert done == {"same"}


def test_a_node_that_comes_back_with_the_right_version_is_used_again(nodes: NodeCluster) -> None:
    nodes.master()
    job = nodes.disco.new_job("upgraded", ["raw://x"], map=pairs)
    old = pretender(nodes, "n1")
    wait_until(lambda: any("No node here" in line for _, (_, _, line) in job.events()))

    for process in old.processes():
        send(process, signal.SIGKILL)
    old.wait()
    nodes.node("n1")

    assert list(result_iterator(job.wait(timeout=30))) == [("x", 1)]
