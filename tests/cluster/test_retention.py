"""Jobs that nobody purges: the master does it when they are old, files on every node included."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from disco_rq import DiscoError, result_iterator
from tests.cluster.conftest import wait_until
from tests.nodes import NodeCluster


def pairs(line: str, params: Any) -> list[tuple[str, int]]:
    return [(line, 1)]


@pytest.fixture
def forgetful(nodes: NodeCluster) -> NodeCluster:
    """A cluster that keeps ended jobs for a second, if they do not say it themselves, and looks often."""
    nodes.environment["DISCO_RQ_GC_AFTER"] = "1s"
    nodes.program("master", ["tests.cluster.eager_master"])
    nodes.node("n1")
    nodes.wait_ready()
    return nodes


def known(cluster: NodeCluster) -> set[str]:
    return {name for _, _, name in cluster.disco.joblist()}


def test_an_old_job_is_purged_and_its_saved_results_stay(forgetful: NodeCluster, tmp_path: Path) -> None:
    disco = forgetful.disco
    saved = disco.new_job("saved", ["raw://a"], map=pairs, save=str(tmp_path))
    results = saved.wait(timeout=30)
    dead = disco.new_job("dead", ["raw://a"], map=lambda line, params: [(line, 1 / 0)])
    kept = disco.new_job("kept", ["raw://a"], map=pairs, gc_after=1e9)
    kept_results = kept.wait(timeout=30)
    with pytest.raises(DiscoError):
        dead.wait(timeout=30)
    assert saved.jobspec()["gc_after"] is None

    wait_until(lambda: known(forgetful) == {kept.name})

    wait_until(lambda: [path.name for path in forgetful.data("n1").glob("*@*")] == [kept.name])
    assert list(result_iterator(results)) == [("a", 1)]
    assert list(result_iterator(kept_results)) == [("a", 1)]
    redis = forgetful.connection.redis
    # RQ may be told of a batch after the purge: that is forgotten a moment later.
    wait_until(lambda: not [key for key in redis.keys("*") if b"saved" in key or b"dead" in key])


def test_an_active_job_is_never_old(forgetful: NodeCluster, tmp_path: Path) -> None:
    from tests.gated import GatedJob

    job = GatedJob(forgetful.disco, tmp_path, lines=2, gc_after=0.01)
    wait_until(lambda: job.traces("map"))
    other = forgetful.disco.new_job("other", [], map=pairs, gc_after=0.01)
    wait_until(lambda: other.name not in known(forgetful))
    assert known(forgetful) == {job.job.name}


def test_files_of_a_node_without_workers_are_purged_too(nodes: NodeCluster) -> None:
    # given results on a node that then only serves its files
    nodes.master()
    node = nodes.node("n1")
    nodes.wait_ready()
    job = nodes.disco.new_job("served", ["raw://a"], map=pairs)
    job.wait(timeout=30)
    files = nodes.data("n1") / job.name
    assert files.is_dir()
    assert node.terminate() == 0
    options = ["--node", "n1", "--slots", "0", "--data", str(nodes.data("n1"))]
    nodes.program("server", ["disco_rq.cli", "node", *options])
    # when the job is purged
    job.purge()
    # then it deletes them
    wait_until(lambda: not files.exists())
