"""A backup that was taken while the cluster worked, put back in another place, as ops/README.md says."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from disco_rq import result_iterator
from disco_rq.runtime import put
from tests.cluster.conftest import wait_until
from tests.gated import GatedJob
from tests.nodes import NodeCluster
from tests.services import OPS, TcpServer

NODES = ("n1", "n2")


def squares(line: str, params: Any) -> list[tuple[int, int]]:
    put(f"seen:{line}", {"line": line})
    return [(int(line), int(line) ** 2)]


def back_up(cluster: NodeCluster, target: Path, redis_cli: Path) -> None:
    """First Redis, then what is on the nodes."""
    cli = f"{redis_cli} -s {cluster.directory}/redis.sock"
    script = ["sh", str(OPS / "backup.sh"), cli, str(cluster.directory), str(target)]
    done = subprocess.run(script, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for node in NODES:
        data = cluster.data(node)
        (target / data.name).mkdir()
        entries = [entry for entry in data.iterdir() if entry.name != "tmp"]  # there, files come and go
        subprocess.run(["cp", "-a", *entries, target / data.name], check=True)


def test_a_backup_with_a_wrong_login_is_none_and_says_so(tmp_path: Path, redis_cli: Path) -> None:
    with TcpServer(tmp_path, "--appendonly", "yes", "--requirepass", "right") as server:
        done = run_script(f"{redis_cli} -p {server.port}", server, tmp_path / "backup", REDISCLI_AUTH="wrong")

    assert done.returncode == 1
    assert "backup.sh: no backup: Redis answers to CONFIG GET: NOAUTH" in done.stderr
    assert not (tmp_path / "backup").exists()


@pytest.mark.long
def test_redis_rewrites_its_file_again_when_a_backup_is_broken_off(tmp_path: Path, redis_cli: Path) -> None:
    options = ("--appendonly", "yes", "--auto-aof-rewrite-percentage", "77")
    with TcpServer(tmp_path, *options) as server:
        # given a backup that is told to end while it copies
        cli = f"{redis_cli} -p {server.port}"
        ask = f"{cli} CONFIG GET auto-aof-rewrite-percentage"
        cp = tmp_path / "bin" / "cp"
        cp.parent.mkdir()
        cp.write_text(f"#!/bin/sh\n{ask} >&2\nkill -TERM $PPID\n")
        cp.chmod(0o755)
        # when
        done = run_script(cli, server, tmp_path / "backup", PATH=f"{cp.parent}:{os.environ['PATH']}")
        after = subprocess.run(ask.split(), capture_output=True)
    # then
    assert done.returncode == 143
    assert done.stderr.split() == ["auto-aof-rewrite-percentage", "0"]
    assert after.stdout.split() == [b"auto-aof-rewrite-percentage", b"77"]


def run_script(
    cli: str, server: TcpServer, target: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    script = ["sh", str(OPS / "backup.sh"), cli, str(server.log.parent), str(target)]
    return subprocess.run(script, env={**os.environ, **environment}, capture_output=True, text=True)


@pytest.mark.long
def test_a_backup_has_the_ended_jobs_and_goes_on_with_the_active_ones(
    nodes: NodeCluster, tmp_path: Path, redis_cli: Path
) -> None:
    # given a job that has ended, and one whose maps are done and whose reduces run
    nodes.master()
    for name in NODES:
        nodes.node(name, slots=2)
    nodes.wait_ready()
    ended = nodes.disco.new_job("ended", [f"raw://{i}" for i in range(8)], map=squares)
    ended.wait(timeout=30)
    assert len(ended.jobinfo()["nodes"]) == 2
    gated = GatedJob(nodes.disco, tmp_path / "gated")
    gated.open_gate("maps")
    wait_until(lambda: len(gated.traces("reduce")) == 2)
    # when a backup is taken of it, and all is lost
    backup = tmp_path / "backup"
    back_up(nodes, backup, redis_cli)
    assert nodes.connection.redis.config_get("auto-aof-rewrite-percentage") != {
        "auto-aof-rewrite-percentage": "0"
    }
    nodes.close()
    assert not nodes.directory.exists()
    # then the ended job is there in another place, with its results
    with NodeCluster(backup) as restored:
        restored.master()
        for name in NODES:
            restored.node(name, slots=2)
        restored.wait_ready()
        job = restored.disco.job(ended.name)
        assert dict(result_iterator(job.wait(timeout=30))) == {i: i * i for i in range(8)}
        assert {key: job.oob_get(key) for key in job.oob_list()} == {
            f"seen:{i}": {"line": str(i)} for i in range(8)
        }
        # and the active one ends as if nothing had been, though its reduces began anew
        gated.job = restored.disco.job(gated.job.name)
        gated.open_gate("reduces")
        gated.assert_right()
        assert gated.job.jobinfo()["mapi"][3] == 0
        assert gated.job.jobinfo()["redi"][3] <= 2
