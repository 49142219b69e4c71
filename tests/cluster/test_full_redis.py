"""Redis has reached its maxmemory in the middle of a job: all wait, nothing is lost."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from disco_rq import result_iterator
from disco_rq.errors import RedisFull
from disco_rq.model import LEASE_S
from tests.cluster.conftest import wait_until
from tests.gated import GatedJob
from tests.nodes import NodeCluster


def pairs(line: str, params: Any) -> list[tuple[str, int]]:
    return [(line, 1)]


def give_memory(nodes: NodeCluster, *, enough: bool) -> None:
    nodes.connection.redis.config_set("maxmemory", 0 if enough else 1)


def test_a_full_redis_makes_all_wait_and_nothing_is_lost(nodes: NodeCluster, tmp_path: Path) -> None:
    # given a job with tasks under way and in the queue
    nodes.connection.redis.config_set("maxmemory-policy", "noeviction")
    nodes.master()
    node = nodes.node("n1", slots=2)
    nodes.wait_ready()
    old = nodes.disco.new_job("old", ["raw://a"], map=pairs)
    old.wait(timeout=30)
    job = GatedJob(nodes.disco, tmp_path, lines=8, max_failures=0)
    wait_until(lambda: len(job.traces("map")) == 2)
    workers = node.workers()
    # when Redis is full, for longer than any lease lasts, while the tasks end
    give_memory(nodes, enough=False)
    job.open_gate("maps", "reduces")
    full_since = time.monotonic()
    # then a client is told at once what is wrong
    with pytest.raises(RedisFull, match=r"has reached its maxmemory .* CONFIG SET maxmemory"):
        nodes.disco.new_job("refused", ["raw://a"], map=pairs)
    wait_until(lambda: "maxmemory" in node.said and "maxmemory" in nodes.masters[0].said)
    wait_until(lambda: time.monotonic() - full_since > LEASE_S + 3)
    # old jobs can be forgotten to make room
    old.clean()
    assert [name for _, _, name in nodes.disco.joblist()] == [job.job.name]
    # and when there is memory again, all goes on where it was
    give_memory(nodes, enough=True)
    job.assert_right(timeout_s=60)
    assert job.failed_attempts() == 0
    assert len(job.traces("map")) == 8  # each ran once
    assert node.workers() == workers


def test_purging_what_has_ended_makes_room(nodes: NodeCluster) -> None:
    # given two jobs that ended, one of them large, and one that waits, in a Redis that is full
    nodes.master()
    nodes.node("n1")
    nodes.wait_ready()
    small = nodes.disco.new_job("small", ["raw://a"], map=pairs)
    large = nodes.disco.new_job("large", ["raw://a"], map=pairs, params=os.urandom(4 << 20))
    for job in (small, large):
        job.wait(timeout=30)
    nodes.disco.blacklist("n1")
    waits = nodes.disco.new_job("waits", ["raw://a"], map=pairs)
    used = nodes.connection.redis.info("memory")["used_memory"]
    nodes.connection.redis.config_set("maxmemory", used - (2 << 20))  # without the large one it has room
    for refused in (waits.kill, waits.purge, small.purge):
        with pytest.raises(RedisFull):
            refused()
    # when the large one is purged
    large.purge()
    # then there is room: nothing is left of it, and all goes on
    assert not (nodes.data("n1") / large.name).exists()
    assert list(nodes.connection.redis.scan_iter(f"disco:job:{large.name}*")) == []
    small.purge()
    nodes.disco.whitelist("n1")
    assert list(result_iterator(waits.wait(timeout=30))) == [("a", 1)]


@pytest.mark.long
def test_a_worker_that_starts_while_redis_is_full_waits_too(nodes: NodeCluster, tmp_path: Path) -> None:
    nodes.master()
    nodes.node("n1")
    nodes.wait_ready()
    job = GatedJob(nodes.disco, tmp_path, lines=3)
    wait_until(lambda: job.traces("map"))
    give_memory(nodes, enough=False)
    nodes.masters[0].kill()
    nodes.masters[0].start()
    nodes.nodes["n1"].workers()[0].kill()
    job.open_gate("maps", "reduces")
    wait_until(lambda: nodes.nodes["n1"].said.count("maxmemory") >= 2)

    give_memory(nodes, enough=True)

    job.assert_right(timeout_s=60)
