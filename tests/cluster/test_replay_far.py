"""A replay far from the nodes: what it needs comes over the network, and nothing is written there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from disco_rq import BadSignature, Disco, Job, func
from disco_rq.outputs.datadir import NODE_ID
from disco_rq.runtime import put, this_host, this_partition
from tests.cluster.conftest import wait_until
from tests.nodes import NodeCluster
from tests.redis.story import everything

SECRET = "one for all"


def hosts(line: str, params: Any) -> Iterator[tuple[str, str]]:
    put(f"host-{this_partition()}", this_host())
    for word in line.split():
        yield word, this_host()


def gathered(pairs: Any, params: Any) -> Iterator[tuple[str, list[str]]]:
    for word, where in func.kvgroup(pairs):
        yield word, sorted(where)


@pytest.fixture
def far(nodes: NodeCluster, monkeypatch: pytest.MonkeyPatch) -> NodeCluster:
    """Two nodes, whose files this process cannot read."""
    monkeypatch.setenv("DISCO_RQ_SECRET", SECRET)
    nodes.environment["DISCO_RQ_SECRET"] = SECRET
    nodes.disco.close()
    nodes.disco = Disco(nodes.url)
    nodes.master()
    for name in ("A", "B"):
        nodes.node(name)
    nodes.wait_ready()
    return nodes


def done(nodes: NodeCluster) -> Job:
    inputs = ["raw://a b a", "raw://b c", "raw://a", "raw://d d d"]
    job = nodes.disco.new_job("far", inputs, map=hosts, reduce=gathered, sort=True, nr_reduces=2)
    job.wait(timeout=60)
    for name in ("A", "B"):
        (nodes.data(name) / NODE_ID).unlink()
    nodes.disco.close()
    nodes.disco = Disco(nodes.url)
    return nodes.disco.job(job.name)


TASKS = ["map:0", "map:1", "map:2", "map:3", "reduce:0", "reduce:1"]


def test_every_task_is_the_same_far_from_the_nodes(far: NodeCluster) -> None:
    job = done(far)

    assert [job.replay(task).agrees for task in TASKS] == [True] * len(TASKS)


def test_nothing_changes_on_the_cluster(far: NodeCluster) -> None:
    job = done(far)
    for part in (*far.masters, *far.nodes.values()):
        part.kill()
    wait_until(lambda: not any(part.is_running for part in (*far.masters, *far.nodes.values())))
    before, files = everything(far.connection), contents(far)

    found = [job.replay(task) for task in TASKS[:4]]
    found += [job.replay(task, entry=1) for task in TASKS[:4]]

    assert everything(far.connection) == before
    assert contents(far) == files
    assert [one.error for one in found] == [None] * 8


def contents(nodes: NodeCluster) -> dict[Path, bytes | None]:
    return {
        path: path.read_bytes() if path.is_file() else None
        for name in ("A", "B")
        for path in nodes.data(name).rglob("*")
    }


def test_a_pack_that_is_altered_is_not_unpacked(far: NodeCluster) -> None:
    job = done(far)
    key = f"disco:job:{job.name}:pack"
    pack: Any = far.connection.redis.get(key)
    far.connection.redis.set(key, pack[:-1] + bytes([pack[-1] ^ 1]))

    with pytest.raises(BadSignature):
        job.replay("map:0")
