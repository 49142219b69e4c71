"""A cluster of several hosts whose wires are slow, lose packets, or are cut for a moment."""

from __future__ import annotations

import time

import pytest

from tests.network.client import JobOf
from tests.network.lan import Lan, check, cut_for, wait_for_maps

pytestmark = pytest.mark.long  # `make network` runs it

SHORT_CUT_S = 5.0
TIMEOUT_S = 20.0


def wait_for_bytes(lan: Lan, count: int) -> None:
    """Return when the nodes have sent each other so many more bytes."""
    before = between_nodes(lan)
    deadline = time.monotonic() + TIMEOUT_S
    while between_nodes(lan) - before < count:
        assert time.monotonic() < deadline, f"nothing goes from node to node: {lan.said()}"
        time.sleep(0.001)


def between_nodes(lan: Lan) -> int:
    return lan.wire.carried["a", "b"] + lan.wire.carried["b", "a"]


def test_reduces_read_the_maps_of_other_hosts_and_the_client_reads_the_results(lan: Lan) -> None:
    job = JobOf(maps=6, seconds=0.2, blobs=10, bytes=20_000)
    between, to_client = between_nodes(lan), lan.wire.carried["a", "client"] + lan.wire.carried["b", "client"]
    hosts = check(lan.run(job), job)
    assert hosts == {"map": ["a", "b"], "reduce": ["a", "b"]}
    assert between_nodes(lan) - between > job.maps * job.blobs * job.bytes / 3
    assert lan.wire.carried["a", "client"] + lan.wire.carried["b", "client"] > to_client


def test_a_node_that_is_cut_off_for_5_s_is_used_again_and_nothing_is_lost(lan: Lan) -> None:
    job = JobOf(maps=12, seconds=0.7, blobs=2, bytes=10_000)
    client = lan.run(job)
    wait_for_maps(lan, client, 1, "b")
    cut_for(lan, SHORT_CUT_S, "b")
    check(client, job)
    lan.wait_until_used()


def test_nodes_that_are_cut_off_from_each_other_while_they_fetch_go_on_afterwards(lan: Lan) -> None:
    job = JobOf(maps=4, seconds=0.3, blobs=40, bytes=100_000)
    lan.wire.delay_s = 0.01
    client = lan.run(job)
    wait_for_bytes(lan, 1_000_000)
    cut_for(lan, SHORT_CUT_S, "a", "b")
    check(client, job)


def test_a_client_that_is_cut_off_for_5_s_gets_its_answer(lan: Lan) -> None:
    job = JobOf(maps=8, seconds=0.5, blobs=2, bytes=10_000)
    client = lan.run(job)
    cut_for(lan, SHORT_CUT_S, "client")
    check(client, job)


def test_a_master_and_redis_that_are_cut_off_for_5_s_go_on(lan: Lan) -> None:
    job = JobOf(maps=8, seconds=0.5, blobs=2, bytes=10_000)
    client = lan.run(job)
    cut_for(lan, SHORT_CUT_S, "head")
    check(client, job)


def test_late_and_lost_packets_cost_time_only(lan: Lan) -> None:
    job = JobOf(maps=6, seconds=0.1, blobs=4, bytes=10_000)
    lan.wire.delay_s, lan.wire.loss = 0.03, 0.05
    check(lan.run(job), job)
