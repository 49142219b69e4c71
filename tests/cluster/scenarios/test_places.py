"""Which of two nodes runs a task: where its input is, where it is allowed, where nothing is missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from disco_rq import Job, Params, result_iterator
from disco_rq.client.arguments import Scheduler
from disco_rq.func import chain_reader
from disco_rq.runtime import this_host, this_input
from disco_rq.store.queues import node_queue
from tests.cluster.conftest import wait_until
from tests.cluster.small_jobs import pairs, run, wait_for_file
from tests.gated import GatedJob
from tests.nodes import NodeCluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[NodeCluster]:
    """Two nodes of one worker each."""
    with NodeCluster() as cluster:
        cluster.master()
        for name in ("a", "b"):
            cluster.node(name)
        cluster.wait_ready()
        yield cluster


@pytest.fixture(autouse=True)
def _no_node_is_listed(cluster: NodeCluster) -> Iterator[None]:
    yield
    for node in ("a", "b"):
        cluster.disco.whitelist(node)


@pytest.fixture
def results_on_a(cluster: NodeCluster) -> list[str]:
    """Four results, all on node a."""
    cluster.disco.blacklist("b")
    job = run(cluster.disco, input=["raw://x"] * 4, map=lambda entry, params: [(entry, 1)])
    cluster.disco.whitelist("b")
    assert job.jobinfo()["nodes"] == ["a"]
    return job.wait()


def where(pair: tuple[str, int], params: Any) -> list[tuple[str, str]]:
    """The node of the map and that of its input. With a gate, it begins and waits for that."""
    if params is not None:
        Path(params.begun).touch()
        wait_for_file(params.gate)
    return [(this_host(), (this_input() or "").removeprefix("disco://").partition("/")[0])]


LOCAL: Scheduler = {"force_local": True}
REMOTE: Scheduler = {"force_remote": True}


def reading(cluster: NodeCluster, results: list[str], wish: Scheduler, params: Any = None) -> Job:
    return cluster.disco.new_job(
        "reading", results, map=where, map_reader=chain_reader, scheduler=wish, params=params
    )


def messages(job: Job) -> list[str]:
    return [message for _, (_, _, message) in job.events()]


def test_force_local_runs_maps_where_their_input_is_though_another_node_is_idle(
    cluster: NodeCluster, results_on_a: list[str], tmp_path: Path
) -> None:
    gate, begun = tmp_path / "gate", tmp_path / "begun"
    job = reading(cluster, results_on_a, LOCAL, Params(gate=str(gate), begun=str(begun)))
    wait_until(begun.exists)
    # given a later job that finds node b idle, while maps of this one wait for a
    assert run(cluster.disco, map=lambda entry, params: []).jobinfo()["nodes"] == ["b"]
    assert job.jobinfo()["mapi"][2] == 0

    gate.touch()

    assert pairs(job) == [("a", "a")] * 4


def test_force_remote_runs_maps_where_their_input_is_not(
    cluster: NodeCluster, results_on_a: list[str]
) -> None:
    assert pairs(reading(cluster, results_on_a, REMOTE)) == [("b", "a")] * 4


@pytest.mark.parametrize(
    ("wish", "missing", "says"),
    [
        (LOCAL, "a", "force_local: the job waits for a"),
        (REMOTE, "b", "force_remote: the job waits for another node than a"),
    ],
)
def test_a_job_that_no_node_may_run_says_so_and_goes_on_when_one_may(
    cluster: NodeCluster, results_on_a: list[str], wish: Scheduler, missing: str, says: str
) -> None:
    cluster.disco.blacklist(missing)
    job = reading(cluster, results_on_a, wish)
    wait_until(lambda: says in messages(job))
    assert job.results(timeout=0)[0] == "active"

    cluster.disco.whitelist(missing)

    assert pairs(job) == [(missing, "a")] * 4


def test_a_node_that_is_blacklisted_in_the_middle_ends_what_it_runs_and_gets_no_more(
    cluster: NodeCluster, tmp_path: Path
) -> None:
    disco = cluster.disco
    job = GatedJob(disco, tmp_path / "first", lines=8)
    wait_until(lambda: len(job.traces("map")) == 2)
    [running_on_b] = [trace for trace in job.traces("map") if trace[1] == "b"]

    disco.blacklist("b")
    wait_until(lambda: node_queue(cluster.connection.redis, "b").count == 0)
    job.open_gate("maps", "reduces")

    job.assert_right()
    assert job.failed_attempts() == 0
    assert [trace for trace in job.traces("map") if trace[1] == "b"] == [running_on_b]
    assert {node for _, node, _ in job.traces("reduce")} == {"a"}

    # and the other way round
    disco.whitelist("b")
    disco.blacklist("a")
    job = GatedJob(disco, tmp_path / "second")
    job.open_gate("maps", "reduces")
    job.assert_right()
    assert job.job.jobinfo()["nodes"] == ["b"]


def test_a_replica_on_a_node_that_nobody_knows_is_replaced_by_the_next(
    cluster: NodeCluster, results_on_a: list[str]
) -> None:
    missing = [address.replace("disco://a/", "disco://missing/") for address in results_on_a]
    replicas = [list(pair) for pair in zip(missing, results_on_a, strict=True)]

    job = cluster.disco.new_job("replicas", replicas, map=where, map_reader=chain_reader, params=None)

    results = list(result_iterator(job.wait(timeout=30)))
    assert [home for _, home in results] == ["a"] * 4
    assert job.jobinfo()["mapi"] == [0, 0, 4, 0]
