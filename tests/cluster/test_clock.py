"""The clock of Redis' machine is stepped while a job runs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from disco_rq import result_iterator
from tests.nodes import NodeCluster
from tests.redis.story import wait_until
from tests.stepped import SteppedClock

HOUR = 3600


@pytest.fixture
def clock(tmp_path: Path) -> SteppedClock:
    return SteppedClock(tmp_path)


@pytest.fixture
def cluster(clock: SteppedClock) -> Iterator[NodeCluster]:
    with NodeCluster(binary=clock.binary) as cluster:
        cluster.master()
        cluster.node("a")
        cluster.node("b")
        cluster.wait_ready()
        yield cluster


def slow(entry: str, params: Any) -> Iterator[tuple[str, int]]:
    time.sleep(3)
    yield entry, 1


def test_a_node_that_dies_after_a_step_back_is_missed_in_time(
    cluster: NodeCluster, clock: SteppedClock
) -> None:
    job = cluster.disco.new_job("back", [f"raw://{i}" for i in range(2)], map=slow)
    wait_until(lambda: job.jobinfo()["mapi"][1] == 2, 15)
    clock.step(-HOUR)
    cluster.nodes["b"].kill()

    found = sorted(result_iterator(job.wait(timeout=30)))

    assert found == [("0", 1), ("1", 1)]


def test_a_step_forward_costs_no_attempt(cluster: NodeCluster, clock: SteppedClock) -> None:
    job = cluster.disco.new_job("forward", [f"raw://{i}" for i in range(2)], map=slow, max_failures=0)
    wait_until(lambda: job.jobinfo()["mapi"][1] == 2, 15)
    clock.step(HOUR)

    job.wait(timeout=30)

    assert job.jobinfo()["mapi"] == [0, 0, 2, 0]
    [told] = cluster.disco.story(job.name, "map:0")
    assert told["ended"] - told["started"] < 60_000
