"""RQ's own records: who can write to Redis can put any there, and none of them runs anything."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import msgpack
import pytest
from rq.command import send_stop_job_command
from rq.job import Job as RqJob
from rq.registry import StartedJobRegistry

from disco_rq import result_iterator
from disco_rq.packing import Serializer
from disco_rq.store import keys
from disco_rq.store.queues import RUN_BATCH, Queues
from tests.cluster.conftest import wait_until
from tests.gated import GatedJob
from tests.nodes import REPOSITORY, NodeCluster

JOB = "none@20260101-000000-abcd"
GOOD: Any = (RUN_BATCH, None, [JOB, "b", [["map:0", 1]]], {})
MODULE = "forged_by_a_test"


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return tmp_path / "trace"


@pytest.fixture
def cluster(nodes: NodeCluster, tmp_path: Path, trace: Path) -> NodeCluster:
    """One whose programs could import a module that leaves a trace."""
    tell = f"open({str(trace)!r}, 'a').write"
    code = f"{tell}('imported ')\ndef run(*args, **kwargs):\n    {tell}('called ')\n"
    (tmp_path / f"{MODULE}.py").write_text(code)
    nodes.environment["PYTHONPATH"] = f"{tmp_path}:{REPOSITORY}"
    nodes.master()
    nodes.node("n1")
    nodes.wait_ready()
    return nodes


def record(cluster: NodeCluster, id: str, data: Any = GOOD, **fields: Any) -> None:
    """A record of RQ's, as anybody with the login may write it."""
    redis: Any = cluster.connection.redis
    known = {
        "data": data if isinstance(data, bytes) else zlib.compress(msgpack.packb(data)),
        "created_at": "2026-01-01T00:00:00.000000Z",
        "origin": keys.queue("n1"),
        "status": "queued",
        "timeout": 180,
    }
    redis.hset(f"rq:job:{id}", mapping=known | fields)


def put(cluster: NodeCluster, id: str, data: Any = GOOD, **fields: Any) -> None:
    """The same, in the queue of the node."""
    record(cluster, id, data, **fields)
    cluster.connection.redis.rpush(keys.rq_list("n1"), id)


def wait_taken(cluster: NodeCluster) -> None:
    wait_until(lambda: cluster.connection.redis.llen(keys.rq_list("n1")) == 0)


def assert_works(cluster: NodeCluster) -> None:
    job = cluster.disco.new_job("after", ["raw://a"], map=lambda e, params: [(e, 1)])
    assert list(result_iterator(job.wait(timeout=30))) == [("a", 1)]


def test_no_function_is_run_whatever_a_record_names(cluster: NodeCluster, trace: Path) -> None:
    workers = [worker.pid for worker in cluster.nodes["n1"].workers()]
    call = f"{MODULE}.run"
    forged: list[Any] = [
        (call, None, [], {}),
        (call, None, [JOB, "b", [["map:0", 1]]], {}),
        (RUN_BATCH, MODULE, [JOB, "b", [["map:0", 1]]], {}),
        (RUN_BATCH, None, [JOB, "b", [["map:0", 1]]], {"a": 1}),
        (RUN_BATCH, None, [], {}),
        (RUN_BATCH, None, ["../../etc", "b", [["map:0", 1]]], {}),
        (RUN_BATCH, None, [JOB, "b", [["map:0", "1/../../x"]]], {}),
        (RUN_BATCH, None, [JOB, "b", [["map:../x", 1]]], {}),
        (RUN_BATCH, None, [JOB, "b", [["map:0", True]]], {}),
        (RUN_BATCH, None, [JOB, "b", 7], {}),
        (RUN_BATCH, None, [JOB, 7, []], {}),
        b"no msgpack, and no zlib",
        msgpack.packb("text"),
        GOOD,
    ]
    for number, data in enumerate(forged):
        put(cluster, f"forged-{number}", data)
    fields = {
        "success_callback_name": call,
        "failure_callback_name": call,
        "stopped_callback_name": call,
        "webhooks": '[{"url": "http://127.0.0.1:1/"}]',
        "dependency_ids": '["forged-0"]',
        "retries_left": 3,
        "repeats_left": 3,
        "meta": b"\x80\x04.",
        "result": b"\x80\x04.",
    }
    for data in (GOOD, (call, None, [], {})):
        put(cluster, f"called-{len(data[2])}", data, **fields)
    for field in (*("timeout", "result_ttl", "status", "created_at"), "retries_left", "failure_ttl"):
        put(cluster, f"odd-{field}", **{field: "no such thing"})
    wait_taken(cluster)
    assert_works(cluster)
    assert not trace.exists(), trace.read_text()
    assert [worker.pid for worker in cluster.nodes["n1"].workers()] == workers, cluster.said()


def test_no_callback_is_called_when_a_batch_is_stopped(
    cluster: NodeCluster, trace: Path, tmp_path: Path
) -> None:
    # given a batch that runs, to whose record somebody has added callbacks
    cluster.disco.blacklist("n1")
    job = GatedJob(cluster.disco, tmp_path, lines=1)
    redis: Any = cluster.connection.redis
    cluster.disco.whitelist("n1")
    wait_until(lambda: job.traces("map"))
    [batch] = redis.keys("rq:job:*")
    for callback in ("stopped", "failure", "success"):
        redis.hset(batch, f"{callback}_callback_name", f"{MODULE}.run")
    # when it is stopped, as by `rq`
    wait_until(lambda: redis.hget(batch, "status") == b"started")
    send_stop_job_command(redis, batch.decode().removeprefix("rq:job:"), serializer=Serializer)
    wait_until(lambda: redis.hget(batch, "status") != b"started")
    # then none is called
    assert_works_soon(cluster)
    assert not trace.exists()


def assert_works_soon(cluster: NodeCluster) -> None:
    wait_until(lambda: cluster.slots("n1") == 1)


def test_who_cleans_up_calls_nothing(
    cluster: NodeCluster, trace: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # given the record of a batch whose worker is gone
    monkeypatch.syspath_prepend(tmp_path)
    redis: Any = cluster.connection.redis
    record(cluster, "gone", status="started", failure_callback_name=f"{MODULE}.run")
    registry = StartedJobRegistry(keys.queue("n1"), connection=redis, serializer=Serializer)
    redis.zadd(registry.key, {"gone:execution": 1})
    # when a master cleans the registries
    Queues(redis).clean("n1")
    # then it is a failed one, and nothing else
    assert not trace.exists()
    assert RqJob.fetch("gone", redis, Serializer).get_status().value == "failed"
