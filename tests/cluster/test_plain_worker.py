"""workers/disco-rq-worker@.service, played without systemd: how it stops a plain rq worker."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

from tests.cluster.conftest import wait_until
from tests.gated import GatedJob
from tests.nodes import REPOSITORY, NodeCluster, Part

UNIT = (REPOSITORY / "workers" / "disco-rq-worker@.service").read_text()


def plain_worker(nodes: NodeCluster) -> Part:
    [line] = re.findall(r"^ExecStart=/usr/bin/env rq (.*)$", UNIT, re.MULTILINE)
    nodes.environment |= {"DISCO_RQ_NODE": "plain", "DISCO_RQ_DATA": str(nodes.data("plain"))}
    return nodes.program("plain", ["rq.cli", *line.replace("/opt/disco-rq/workers", "workers").split()])


def run_exec_stop(worker: Part, patience_s: int) -> subprocess.Popen[bytes]:
    """What systemd runs first; with another patience than the unit's."""
    [line] = re.findall(r"^ExecStop=-(.*)$", UNIT, re.MULTILINE)
    command = shlex.split(line.replace("timeout 30 ", f"timeout {patience_s} "))
    assert f"timeout {patience_s} " in command[-1]
    return subprocess.Popen(command, env={**os.environ, "MAINPID": str(worker.pid)})


def test_a_task_that_ends_in_time_counts(nodes: NodeCluster, tmp_path: Path) -> None:
    nodes.master()
    worker = plain_worker(nodes)
    wait_until(lambda: nodes.slots("plain") == 1)
    job = GatedJob(nodes.disco, tmp_path, lines=1)
    wait_until(lambda: job.traces("map"))

    stopping = run_exec_stop(worker, 30)
    wait_until(lambda: "shut down" in worker.said)
    job.open_gate("maps")

    assert worker.wait() == 0
    assert stopping.wait(timeout=10) == 0
    assert job.job.jobinfo()["mapi"] == [0, 0, 1, 0]


def test_a_task_that_does_not_is_handed_back_uncounted(nodes: NodeCluster, tmp_path: Path) -> None:
    nodes.master()
    worker = plain_worker(nodes)
    wait_until(lambda: nodes.slots("plain") == 1)
    job = GatedJob(nodes.disco, tmp_path, lines=1, max_failures=0)
    wait_until(lambda: job.traces("map"))

    stopping = run_exec_stop(worker, 2)
    stopping.wait(timeout=10)
    assert worker.is_running
    worker.terminate()

    assert job.job.jobinfo()["mapi"] == [1, 0, 0, 0]
    assert nodes.disco.nodeinfo()["active"] == []
