"""Cuts of a minute, longer than any patience: what gives up says so, and all goes on afterwards.

``make network`` runs them; they take some minutes.
"""

from __future__ import annotations

import time

import pytest

from tests.cluster.conftest import wait_until
from tests.network.client import JobOf
from tests.network.lan import DATA_PORT, HOSTS, NODES, Lan, check, cut_for, wait_for_maps

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

CUT_S = 60.0
GIVES_UP_S = 45.0
"""A client that reaches no Redis for its 30 s, one more answer and its end."""


def test_a_node_that_is_cut_off_for_a_minute_is_replaced_and_used_again(lan: Lan) -> None:
    job = JobOf(maps=20, seconds=1.0, blobs=2, bytes=10_000)
    client = lan.run(job)
    wait_for_maps(lan, client, 3, "b")
    lan.wire.cut("b")
    cut_at = time.monotonic()
    hosts = check(client, job)
    assert time.monotonic() - cut_at < CUT_S - 10.0, "the job waited for the node"
    assert hosts["reduce"] == ["a"]
    cut_for(lan, CUT_S - (time.monotonic() - cut_at), "b")
    lan.wait_until_used()


def test_a_client_that_is_cut_off_for_a_minute_is_told_and_its_job_goes_on(lan: Lan) -> None:
    job = JobOf(maps=4, seconds=1.0)
    client = lan.run(job)
    lan.wire.cut("client")
    cut_at = time.monotonic()
    answer = client.answer(GIVES_UP_S)
    assert answer["error"].startswith("ConnectionLost: Redis at")
    cut_for(lan, CUT_S - (time.monotonic() - cut_at), "client")
    check(lan.wait(client.job), job)


def test_redis_and_its_master_cut_off_for_a_minute_come_back_and_the_job_ends(lan: Lan) -> None:
    job = JobOf(maps=20, seconds=1.0, blobs=2, bytes=10_000)
    client = lan.run(job)
    wait_for_maps(lan, client, 1, *NODES)
    cut_for(lan, CUT_S, "head")
    assert client.answer(GIVES_UP_S)["error"].startswith("ConnectionLost: Redis at")
    check(lan.wait(client.job), job)
    lan.wait_until_used()


def test_nodes_that_are_cut_off_from_each_other_for_a_minute_end_the_job(lan: Lan) -> None:
    job = JobOf(maps=4, seconds=0.5, blobs=40, bytes=100_000)
    lan.wire.cut("a", "b")
    client = lan.run(job)
    cut_for(lan, CUT_S, "a", "b")
    check(client, job)


def test_a_data_server_forgets_a_reader_that_has_vanished(lan: Lan) -> None:
    lan.connect("a", DATA_PORT)
    wait_until(lambda: HOSTS["client"] in lan.peers("a"))
    lan.wire.cut("client")
    wait_until(lambda: HOSTS["client"] not in lan.peers("a"), CUT_S)
