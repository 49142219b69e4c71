"""Redis that takes nothing for some seconds, though it is there: all wait, nothing is lost, nobody dies."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.cluster.conftest import wait_until
from tests.gated import GatedJob
from tests.nodes import NodeCluster

BUSY_S = 3


def busy_with_a_script(nodes: NodeCluster) -> None:
    """Somebody else's, for longer than Redis lets others wait without an answer."""
    client = redis.Redis.from_url(nodes.url, socket_timeout=60)
    client.config_set("lua-time-limit", 500)
    client.eval(
        "local t = redis.call('TIME')[1] + ARGV[1] while redis.call('TIME')[1] + 0 < t do end", 0, BUSY_S
    )
    client.close()


def cannot_write_its_snapshot(nodes: NodeCluster) -> None:
    """Then it refuses all writes, as its disk may be full."""
    client = nodes.connection.redis
    client.config_set("save", "3600 1000000")
    told: Any = {**client.config_get("dir"), **client.config_get("dbfilename")}
    in_its_place = Path(told["dir"]) / told["dbfilename"]
    in_its_place.unlink(missing_ok=True)
    in_its_place.mkdir()
    (in_its_place / "x").touch()
    client.bgsave()
    wait_until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")
    time.sleep(BUSY_S)
    client.config_set("save", "")


@pytest.mark.parametrize("trouble", [busy_with_a_script, cannot_write_its_snapshot])
def test_all_go_on_where_they_were(nodes: NodeCluster, tmp_path: Path, trouble: Any) -> None:
    # given a job with tasks under way and in the queue
    nodes.master()
    node = nodes.node("n1", slots=2)
    nodes.wait_ready()
    job = GatedJob(nodes.disco, tmp_path, lines=8, max_failures=0)
    wait_until(lambda: len(job.traces("map")) == 2)
    workers = node.workers()
    # when its tasks end while Redis takes nothing
    job.open_gate("maps", "reduces")
    trouble(nodes)
    # then
    job.assert_right(timeout_s=60)
    assert job.failed_attempts() == 0
    assert node.workers() == workers
    assert nodes.masters[0].is_running
