"""A Redis that was emptied: the node deletes the files of jobs that it has forgotten, and no others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from disco_rq import Disco, Job, result_iterator
from disco_rq.store.nodes import node_about
from tests.cluster.conftest import wait_until
from tests.nodes import NodeCluster


@pytest.fixture
def cluster() -> Iterator[NodeCluster]:
    with NodeCluster() as cluster:
        cluster.environment["DISCO_RQ_SWEEP_AFTER"] = "10"
        cluster.master()
        cluster.node("a")
        cluster.wait_ready()
        yield cluster


def run(disco: Disco) -> Job:
    job = disco.new_job("some", ["raw://x"], map=lambda entry, params: [(entry, 1)])
    job.wait(timeout=60)
    return job


def test_files_of_forgotten_jobs_go_and_those_of_cleaned_ones_stay(cluster: NodeCluster) -> None:
    files = cluster.data("a")
    cleaned, forgotten = run(cluster.disco), run(cluster.disco)
    results = cleaned.wait()
    cleaned.clean()
    wait_until(lambda: (files / cleaned.name / ".kept").exists())

    cluster.connection.redis.flushdb()
    wait_until(lambda: node_about(cluster.connection, "a").get("unknown_jobs") == "1")
    assert (files / forgotten.name).exists()
    wait_until(lambda: not (files / forgotten.name).exists())

    assert f"Redis does not know {forgotten.name}" in cluster.nodes["a"].said
    deleted = f"{forgotten.name}: Redis has not known this job for long"
    wait_until(lambda: deleted in cluster.nodes["a"].said)
    wait_until(lambda: cluster.slots("a") == 1)
    after = run(cluster.disco)
    assert list(result_iterator(after.wait())) == [("x", 1)]
    assert list(result_iterator(results)) == [("x", 1)]
    assert (files / after.name).exists()
