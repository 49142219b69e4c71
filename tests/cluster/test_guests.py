"""A Redis that forgets, and guests who stop what is not theirs: it is told, and goes on by itself."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rq.suspension import resume, suspend

from disco_rq import result_iterator
from disco_rq.doctor import examine
from disco_rq.errors import UnknownJob
from disco_rq.settings import Settings
from disco_rq.store import keys
from disco_rq.store.nodes import SUSPENDED, node_about
from tests.cluster.conftest import wait_until
from tests.gated import GatedJob
from tests.nodes import NodeCluster


def ones(entry: str, params: Any) -> Iterator[tuple[str, int]]:
    yield entry, 1


def output_of(nodes: NodeCluster, *words: str) -> str:
    """What ``disco-rq`` prints, in one line."""
    command = [sys.executable, "-m", "disco_rq.cli", *words]
    environment = {**nodes.environment, "COLUMNS": "300"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return " ".join(done.stdout.split())


def told(job: Any) -> list[str]:
    return [message for _, (_, _, message) in job.events()]


def test_a_redis_that_was_emptied_is_told_all_again(nodes: NodeCluster, tmp_path: Path) -> None:
    nodes.master()
    nodes.node("n1")
    nodes.wait_ready()
    connection = nodes.connection
    before = node_about(connection, "n1")
    workers = connection.redis.smembers("rq:workers")
    old = GatedJob(nodes.disco, tmp_path, lines=1)
    wait_until(lambda: old.traces("map"))

    connection.redis.flushdb()

    with pytest.raises(UnknownJob, match="unknown job"):
        old.job.wait(timeout=20)
    old.open_gate("maps")
    what = ("url", "life", "url_seal", "word", "secret", "python")
    wait_until(lambda: all(node_about(connection, "n1").get(one) == before.get(one) for one in what))
    wait_until(lambda: connection.redis.smembers("rq:workers") == workers)
    wait_until(lambda: connection.redis.exists(keys.packages("n1")) == 1)
    wait_until(lambda: nodes.slots("n1") == 1)
    job = nodes.disco.new_job("after", ["raw://a"], map=ones)
    assert dict(result_iterator(job.wait(timeout=30))) == {"a": 1}


def test_who_waits_for_a_job_that_redis_has_forgotten_is_told(nodes: NodeCluster, tmp_path: Path) -> None:
    nodes.master()
    nodes.node("n1")
    nodes.wait_ready()
    job = GatedJob(nodes.disco, tmp_path, lines=1).job

    class Emptied:
        """Looks on, and empties Redis once the wait has begun."""

        def __enter__(self) -> Emptied:
            return self

        def __exit__(self, *_: object) -> None: ...

        def event(self, *_: object) -> None: ...

        def update(self, record: object) -> None:
            nodes.connection.redis.flushdb()

    with pytest.raises(UnknownJob, match=r"has forgotten the job gated.*FLUSHDB"):
        job.wait(timeout=20, show=Emptied())


def test_a_suspended_rq_is_told_everywhere_and_the_job_goes_on_after_it(nodes: NodeCluster) -> None:
    nodes.master()
    redis = nodes.connection.redis
    suspend(redis)
    nodes.node("n1")
    nodes.wait_ready()
    job = nodes.disco.new_job("waits", ["raw://a"], map=ones)

    wait_until(lambda: SUSPENDED in told(job))
    assert job.jobinfo()["suspended"]
    [node] = nodes.disco.nodeinfo()["available"]
    assert (node["state"], node["closed"]) == ("closed", SUSPENDED)
    assert SUSPENDED in output_of(nodes, "info", job.name)
    assert SUSPENDED in output_of(nodes, "nodes")
    findings = examine(nodes.disco.session.connection.url, Settings())
    assert ("fail", "rq") in [(finding.level, finding.what) for finding in findings]
    resume(redis)

    assert dict(result_iterator(job.wait(timeout=30))) == {"a": 1}
    assert not job.jobinfo()["suspended"]
