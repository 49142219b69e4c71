"""Two owners on one node: slots by share, no more than a cap, and a job that waits says why."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from disco_rq.store import keys
from tests.cluster.conftest import wait_until
from tests.nodes import NodeCluster, Part
from tests.web.visitor import Visitor

FILES = [f"raw://{i}" for i in range(200)]


def slow(line: str, params: Any) -> Iterator[tuple[str, int]]:
    import time

    time.sleep(0.3)
    yield line, 1


def test_slots_are_dealt_among_owners_and_who_waits_is_told_why(nodes: NodeCluster) -> None:
    nodes.environment |= {"DISCO_RQ_SHARES": "alice=3,*=1", "DISCO_RQ_OWNER_SLOTS": "carol=1"}
    nodes.master()
    nodes.node("n1", slots=4)
    nodes.wait_ready()
    view = nodes.disco
    first = view.new_job("first", FILES, map=slow, owner="alice")
    other = view.new_job("other", FILES, map=slow, owner="bob", priority=9)

    # the page's API tells who has what: three for alice, one for bob
    address = wait_until(lambda: nodes.connection.redis.get(keys.MASTER)).decode()
    page = Visitor(f"http://{address}")

    def owners() -> dict[str, dict[str, Any]]:
        return {owner["owner"]: owner for owner in json.loads(page.get("/api/v1/overview").body)["owners"]}

    wait_until(lambda: [owners()[name]["busy"] for name in ("alice", "bob")] == [3, 1])
    first.kill()
    other.kill()
    # an owner alone has all, up to its cap; its second job says for what it waits
    capped = view.new_job("capped", FILES, map=slow, owner="carol")
    waits = view.new_job("waits", FILES, map=slow, owner="carol", priority=-1)
    told = "Owner carol may have 1 slots, and has them (DISCO_RQ_OWNER_SLOTS): the job waits for one of these"
    wait_until(lambda: view.jobinfo(waits.name)["waits"] == told)
    assert told in [text for _, (_, _, text) in waits.events()]
    assert owners()["carol"] | {"waiting": 0} == {
        "owner": "carol",
        "share": 1.0,
        "most": 1,
        "busy": 1,
        "waiting": 0,
        "jobs": 2,
    }
    metrics = page.get("/metrics").body.decode()
    assert 'disco_owner_slots_limit{owner="carol"} 1.0' in metrics
    assert 'disco_owner_slots_busy{owner="carol"} 1.0' in metrics
    assert 'disco_slots_wanted{needs="",priority="0"} 1.0' in metrics
    capped.kill()
    wait_until(lambda: view.jobinfo(waits.name)["waits"] == "")
    waits.kill()


def test_a_share_that_is_none_is_told_at_the_start_of_a_master(nodes: NodeCluster) -> None:
    for options, told in (
        (["--shares", "bob=1,alice"], "DISCO_RQ_SHARES: 'alice' is no share of an owner, such as alice=3"),
        (["--owner-slots", "bob=0"], "DISCO_RQ_OWNER_SLOTS: 'bob=0' is no number of slots of an owner"),
    ):
        master = Part("wrong", ["disco_rq.cli", "master", *options], nodes)
        assert master.wait(20) == 1
        assert told in master.said
