"""``retry`` where jobs are signed: an output counts for a new job where its client has said so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from disco_rq import BadSignature, Disco, Job, JobError, result_iterator
from disco_rq.func import kvgroup
from disco_rq.store import keys
from tests.cluster.conftest import wait_until
from tests.nodes import NodeCluster

SECRET = "marked-secret-1961"


@pytest.fixture
def cluster(nodes: NodeCluster, monkeypatch: pytest.MonkeyPatch) -> NodeCluster:
    monkeypatch.setenv("DISCO_RQ_SECRET", SECRET)
    nodes.environment["DISCO_RQ_SECRET"] = SECRET
    nodes.disco.close()
    nodes.disco = Disco(nodes.url)
    nodes.master()
    nodes.node("n1")
    nodes.wait_ready()
    return nodes


def pairs(line: str, params: Any) -> Iterator[tuple[str, int]]:
    if line == "bad":
        raise ValueError(line)
    yield line, 1


def mended(line: str, params: Any) -> Iterator[tuple[str, int]]:
    yield line, 1


def total(entries: Any, params: Any) -> Iterator[tuple[str, int]]:
    for key, values in kvgroup(entries):
        yield key, sum(values)


def died(cluster: NodeCluster, name: str = "first") -> Job:
    inputs = ["raw://a", "raw://b", "raw://c", "raw://bad"]
    job = cluster.disco.new_job(name, inputs, map=pairs, reduce=total, nr_reduces=1)
    with pytest.raises(JobError, match="ValueError"):
        job.wait(timeout=30)
    return job


def test_what_is_kept_is_read_and_a_purged_job_runs_no_more(cluster: NodeCluster) -> None:
    first = died(cluster)
    cluster.disco.blacklist("n1")
    job = first.retry(map=mended)
    first.purge()
    cluster.disco.whitelist("n1")

    assert sorted(result_iterator(job.wait(timeout=30))) == [("a", 1), ("b", 1), ("bad", 1), ("c", 1)]
    assert job.jobinfo()["kept"] == 3
    assert list((cluster.data("n1") / ".purged").iterdir())
    assert (cluster.data("n1") / first.name).is_dir()
    job.purge()
    wait_until(lambda: not (cluster.data("n1") / first.name).exists())


@pytest.mark.parametrize("forged", ["of another job", "of another task", "of another phase"])
def test_no_other_output_is_read_for_one_that_is_kept(cluster: NodeCluster, forged: str) -> None:
    first, other = died(cluster), died(cluster, "other")
    cluster.disco.blacklist("n1")
    job = first.retry(map=mended)
    address = {
        "of another job": f"disco://n1/{other.name}/map-0.1",
        "of another task": f"disco://n1/{first.name}/map-1.1",
        "of another phase": f"disco://n1/{first.name}/reduce-0.1",
    }[forged]
    cluster.connection.redis.hset(keys.JobKeys(job.name).outputs, "map:0", address)
    cluster.disco.whitelist("n1")

    with pytest.raises(JobError, match="is not an output of map:0 of this job"):
        job.wait(timeout=30)


def test_a_job_whose_outputs_were_forged_gives_none(cluster: NodeCluster) -> None:
    first, other = died(cluster), died(cluster, "other")
    outputs = keys.JobKeys(first.name).outputs
    cluster.connection.redis.hset(outputs, "map:0", f"disco://n1/{other.name}/map-0.1")

    with pytest.raises(BadSignature, match=f"{other.name}/map-0.1 is not an output of map:0 of {first.name}"):
        first.retry()


def test_a_job_whose_input_was_forged_is_not_tried_again(cluster: NodeCluster) -> None:
    first = died(cluster)
    inputs: Any = keys.JobKeys(first.name).inputs
    redis: Any = cluster.connection.redis
    redis.hset(inputs, "0", redis.hget(inputs, "1"))

    with pytest.raises(BadSignature, match="input 0"):
        first.retry()


def test_maps_are_reused_where_their_job_is_as_it_was_signed(cluster: NodeCluster) -> None:
    def submit() -> Job:
        inputs = ["raw://a", "raw://b"]
        return cluster.disco.new_job("reuse", inputs, map=mended, reduce=total, nr_reduces=1, reuse=True)

    first = submit()
    first.wait(timeout=30)
    second = submit()
    assert sorted(result_iterator(second.wait(timeout=30))) == [("a", 1), ("b", 1)]
    assert second.jobinfo()["reused"] == 2
    for job in (first, second):
        cluster.connection.redis.hset(
            keys.JobKeys(job.name).outputs, "map:0", f"disco://n1/{job.name}/map-1.1"
        )

    third = submit()

    assert sorted(result_iterator(third.wait(timeout=30))) == [("a", 1), ("b", 1)]
    assert third.jobinfo()["reused"] == 0
