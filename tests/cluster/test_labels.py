"""Jobs that need nodes with labels, on real nodes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from disco_rq import JobArgumentError, result_iterator
from disco_rq.runtime import put, this_host, this_partition
from tests.cluster.conftest import wait_until
from tests.nodes import NodeCluster, Part


def where(line: str, params: Any) -> Iterator[tuple[str, int]]:
    put(f"map:{this_partition()}", this_host())
    yield line, 1


def where_too(pairs: Any, params: Any) -> Iterator[tuple[str, int]]:
    put(f"reduce:{this_partition()}", this_host())
    yield from pairs


def labelled(nodes: NodeCluster, name: str, *labels: str) -> Part:
    told = [option for label in labels for option in ("--label", label)]
    options = ["--node", name, "--slots", "1", "--data", str(nodes.data(name)), *told]
    nodes.nodes[name] = Part(name, ["disco_rq.cli", "node", *options], nodes)
    return nodes.nodes[name]


def test_a_job_runs_where_its_needs_are_and_waits_for_them(nodes: NodeCluster) -> None:
    nodes.master()
    nodes.node("plain")
    nodes.wait_ready()
    input = [f"raw://{i}" for i in range(4)]
    job = nodes.disco.new_job(
        "picky",
        input,
        map=where,
        reduce=where_too,
        nr_reduces=2,
        needs={"map": {"gpu": True, "ram": 32}, "reduce": {"zone": "eu-1"}},
    )
    # when no node has that, it says so, and another job runs
    told = "No node has gpu, ram >= 32, which its maps need: the job waits for one"
    wait_until(lambda: told in [text for _, (_, _, text) in job.events()])
    assert len(list(result_iterator(nodes.disco.new_job("any", input, map=where).wait(30)))) == 4
    # when nodes come that have it
    labelled(nodes, "big", "gpu", "ram=64")
    labelled(nodes, "near", "zone=eu-1")
    # then each phase runs where it may
    assert sorted(result_iterator(job.wait(timeout=60))) == [(str(i), 1) for i in range(4)]
    hosts = {key: job.oob_get(key) for key in job.oob_list()}
    assert {hosts[f"map:{i}"] for i in range(4)} == {"big"}
    assert {hosts[f"reduce:{i}"] for i in range(2)} == {"near"}
    known = {node["node"]: node["labels"] for node in nodes.disco.nodeinfo()["available"]}
    assert known == {"plain": {}, "big": {"gpu": True, "ram": 64.0}, "near": {"zone": "eu-1"}}


def test_what_is_no_need_and_no_label_is_told_at_once(nodes: NodeCluster) -> None:
    with pytest.raises(JobArgumentError, match=r"needs=\{'gpu': \[\]\}: gpu: \[\] is no True, number or str"):
        nodes.disco.new_job("wrong", ["raw://a"], map=where, needs={"gpu": []})
    node = labelled(nodes, "n1", "gpu=")
    assert node.wait(20) == 1
    assert "DISCO_RQ_LABELS: 'gpu=' is no label, such as gpu, ram=64 or zone=eu-1" in node.said
