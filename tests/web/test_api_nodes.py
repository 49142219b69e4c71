"""The API's answers about the cluster and its nodes, from stories that are told to Redis."""

from __future__ import annotations

from disco_rq.model import TaskId
from disco_rq.store import keys
from disco_rq.store.attempts import AttemptStore
from disco_rq.store.connection import Connection
from disco_rq.store.nodes import NodeAdmin, NodeStore
from tests.redis.story import BATCH, JOB, assign, commit, fail, started, submit
from tests.web.visitor import Visitor


def alive(connection: Connection, node: str, *workers: str) -> None:
    NodeStore(connection, node).register({"host": f"host of {node}"})
    for worker in workers:
        AttemptStore(connection).renew(node, worker)


def test_a_slot_shows_what_it_runs(api: Visitor, connection: Connection) -> None:
    alive(connection, "n1", "n1.0-00000a", "n1.1-00000b")
    submit(connection)
    started(connection, "map:1", node="n1", worker="n1.1-00000b")

    overview = api.get("overview").json

    [node] = overview["nodes"]
    assert (node["node"], node["host"], node["state"]) == ("n1", "host of n1", "alive")
    idle, busy = node["slots"]
    assert (idle["slot"], idle["job"], idle["task"]) == ("n1.0", None, None)
    assert (busy["slot"], busy["job"], busy["task"], busy["tasks"]) == ("n1.1", JOB, "map:1", 1)
    assert 0 <= busy["seen_ms"] < 5000
    totals = overview["totals"]
    assert [totals[what] for what in ("jobs", "active", "slots", "busy")] == [1, 1, 2, 1]
    assert (totals["waiting"], totals["running"]) == (2, 1)
    assert (overview["master"], overview["leads"]) == ("127.0.0.1:8989", True)


def test_a_node_whose_secret_does_not_fit_the_page_s_is_told_while_it_is_alive(
    api: Visitor, connection: Connection
) -> None:
    # given a page without a secret, a node like it, one with a secret, and one with another that is gone
    alive(connection, "n1", "n1.0-00000a")
    alive(connection, "n2", "n2.0-00000a")
    alive(connection, "n3")
    for node, secret in (("n1", ""), ("n2", "aaaa bbbb"), ("n3", "cccc")):
        connection.redis.hset(keys.node(node), "secret", secret)

    told = {node["node"]: node["misfit"] for node in api.get("nodes").json["nodes"]}

    assert told == {"n1": "", "n2": "it has one, and refuses unsigned jobs", "n3": ""}


def test_of_a_batch_one_task_runs_and_the_timeline_draws_nothing_else(
    api: Visitor, connection: Connection
) -> None:
    alive(connection, "n1", "n1.0-00000a")
    batch = [(TaskId("map", index), 1) for index in range(3)]
    held, died = "held@20260101-000000-cccc", "died@20260101-000000-dddd"
    for job, worker in ((held, "n1.0-00000a"), (died, "n1.1-00000b")):
        submit(connection, maps=4, name=job)
        assign(connection, batch, job=job)
        AttemptStore(connection).claim(job, BATCH, worker, batch)
    fail(connection, started(connection, "map:3", job=died, worker="n1.1-00000b"), "fatal")

    maps, _ = api.job(held)["phases"]
    totals = api.get("overview").json["totals"]
    assert (maps["running"], maps["in_batches"], maps["waiting"]) == (3, 2, 1)
    assert (totals["running"], totals["in_batches"]) == (3, 2)
    drawn = [
        (bar["task"], bar["tasks"], bar["failed"], bar["running"])
        for job in (held, died)
        for slot in api.job(job, "timeline")["slots"]
        for bar in slot["bars"]
    ]
    assert drawn == [("map:0", 3, 0, 1), ("map:3", 1, 1, 0)]


def test_six_nodes_are_told_in_short_on_the_front_page_and_behind_the_jobs(
    api: Visitor, connection: Connection
) -> None:
    for number in range(5):
        alive(connection, f"n{number}", f"n{number}.0-00000a")
    assert b'class="nodes"' in api.get("/").body
    alive(connection, "n5", "n5.0-00000a")

    page = api.get("/").body

    assert b'class="nodes compact"' in page
    assert page.index(b'id="jobs"') < page.index(b'id="nodes"')


def test_a_node_is_gone_since_its_last_sign_of_life(api: Visitor, connection: Connection) -> None:
    alive(connection, "n1", "n1.0-00000a")
    before = api.get("nodes").json["nodes"][0]["seen"]
    connection.redis.delete(keys.SLOTS)

    [node] = api.get("nodes").json["nodes"]

    assert (node["state"], node["slots"], node["seen"]) == ("gone", [], before)


def test_a_node_that_said_good_bye_has_left_and_raises_no_alert(api: Visitor, connection: Connection) -> None:
    alive(connection, "n1", "n1.0-00000a")
    connection.redis.delete(keys.SLOTS)
    assert 'disco_node_up{node="n1"} 0.0' in api.get("/metrics").body.decode()

    NodeStore(connection, "n1").drop_slots("n1", good_bye=True)

    [node] = api.get("nodes").json["nodes"]
    assert node["state"] == "left"
    assert 'disco_node_up{node="n1"}' not in api.get("/metrics").body.decode()


def test_a_node_drains_until_it_has_nothing_left(api: Visitor, connection: Connection) -> None:
    alive(connection, "n1", "n1.0-00000a")
    submit(connection)
    attempt = started(connection, "map:0", node="n1", worker="n1.0-00000a")
    states = []

    for step in ("drain", "commit", "blacklist", "whitelist"):
        if step == "commit":
            commit(connection, attempt)
        else:
            assert api.act(f"nodes/n1/{step}").json == {"ok": True}
        states.append(api.get("nodes").json["nodes"][0]["state"])

    assert states == ["draining", "drained", "blacklisted", "alive"]
    assert NodeAdmin(connection).draining() == NodeAdmin(connection).blacklist() == set()


def test_a_node_that_closed_itself_says_why_until_it_is_gone(api: Visitor, connection: Connection) -> None:
    alive(connection, "n1", "n1.0-00000a")
    NodeStore(connection, "n1").close("disk", "its disk has 1 MiB free")

    [node] = api.get("nodes").json["nodes"]
    [shown] = api.get("overview").json["nodes"]
    assert (node["state"], node["closed"]) == ("closed", "its disk has 1 MiB free")
    assert shown["state"] == "closed"
    assert 'disco_node_closed{node="n1"} 1.0' in api.get("/metrics").body.decode()

    connection.redis.delete(keys.SLOTS)
    [node] = api.get("nodes").json["nodes"]
    assert (node["state"], node["closed"]) == ("gone", "")
    assert 'disco_node_closed{node="n1"} 0.0' in api.get("/metrics").body.decode()


def test_what_people_decide_of_a_node_comes_before_what_it_says_itself(
    api: Visitor, connection: Connection
) -> None:
    alive(connection, "n1", "n1.0-00000a")
    NodeStore(connection, "n1").close("leave", "it is leaving")
    NodeAdmin(connection).close("n1", drain=False)

    [node] = api.get("nodes").json["nodes"]

    assert (node["state"], node["closed"]) == ("blacklisted", "it is leaving")


def test_a_node_is_forgotten_once_it_is_gone_for_a_minute(api: Visitor, connection: Connection) -> None:
    alive(connection, "n1", "n1.0-00000a")
    refused = api.act("nodes/n1/forget")
    assert (refused.status, refused.code) == (409, "refused")
    assert "was seen 0 s ago" in refused.json["error"]["message"]

    connection.redis.delete(keys.SLOTS)
    connection.redis.hset(keys.node("n1"), "seen", 1)
    assert api.act("nodes/n1/forget").json == {"ok": True}

    assert api.get("nodes").json["nodes"] == []
    assert api.act("nodes/n1/forget").code == "unknown-node"


def test_an_unknown_node_is_not_put_on_a_list(api: Visitor, connection: Connection) -> None:
    assert api.act("nodes/nowhere/blacklist").code == "unknown-node"
    assert NodeAdmin(connection).blacklist() == set()
