"""forget_node.lua: nothing is left of a node that is gone for good, and nobody else loses anything."""

from __future__ import annotations

import pytest

from disco_rq.errors import DiscoError, NodeAlive
from disco_rq.store import keys
from disco_rq.store.attempts import AttemptStore
from disco_rq.store.connection import Connection
from disco_rq.store.ending import Ending
from disco_rq.store.nodes import GONE_FOR_S, LEFT_FOR_S, NodeAdmin, NodeStore, node_names, say_good_bye
from disco_rq.store.viewing import ViewStore
from tests.redis.story import JOB, commit, everything, lead, started, submit


def come(connection: Connection, node: str) -> None:
    """A node with all that may be known of one."""
    store = NodeStore(connection, node)
    store.register({"host": "h", "url": "http://h:1"})
    store.tell_packages({"numpy": "2.0"})
    store.close("disk", "full")
    store.close("leave", "it leaves")
    AttemptStore(connection).renew(node, f"{node}.0")
    NodeAdmin(connection).close(node, drain=False)
    connection.redis.sadd(keys.DRAINING, node)
    connection.redis.sadd(keys.purges(node), JOB)
    connection.redis.rpush(keys.wake(node), "purge")


def go(connection: Connection, node: str, ago_s: float) -> None:
    """Its last sign of life was so long ago."""
    NodeStore(connection, node).drop_slots(node)
    seconds, _ = connection.redis.time()
    connection.redis.hset(keys.node(node), "seen", int((int(seconds) - ago_s) * 1000))


def test_nothing_is_left_but_word_to_the_master(connection: Connection) -> None:
    # given a node that is there, whose name begins like that of one that is gone
    come(connection, "n10")
    before = everything(connection)
    come(connection, "n1")
    go(connection, "n1", GONE_FOR_S + 1)
    said = connection.redis.xlen(keys.CONTROL)

    NodeAdmin(connection).forget("n1")

    after = everything(connection)
    told = after.pop(keys.CONTROL)
    before.pop(keys.CONTROL)
    assert after == before
    assert len(told) == said + 1
    assert told[-1][1] == {b"k": b"nodes", b"n": b"n1"}


@pytest.mark.parametrize("ago_s", [0, GONE_FOR_S - 10])
def test_a_node_that_may_come_back_is_kept(connection: Connection, ago_s: float) -> None:
    come(connection, "n1")
    go(connection, "n1", ago_s)
    before = everything(connection)

    with pytest.raises(
        NodeAlive, match=rf"^node 'n1' was seen {ago_s // 10:.0f}\d* s ago: .* gone for 60 s can be"
    ):
        NodeAdmin(connection).forget("n1")

    assert everything(connection) == before


def test_a_node_with_a_worker_that_is_alive_is_kept(connection: Connection) -> None:
    come(connection, "n1")
    connection.redis.hdel(keys.node("n1"), "seen")

    with pytest.raises(NodeAlive, match="was seen 0 s ago"):
        NodeAdmin(connection).forget("n1")

    assert node_names(connection) == ["n1"]


def test_a_worker_that_is_long_dead_keeps_no_node(connection: Connection) -> None:
    come(connection, "n1")
    go(connection, "n1", GONE_FOR_S + 1)
    connection.redis.zadd(keys.SLOTS, {"n1 n1.0": 1})  # the master takes such a one off; none leads

    NodeAdmin(connection).forget("n1")

    assert node_names(connection) == []


def test_a_node_that_never_gave_a_sign_of_life_goes(connection: Connection) -> None:
    NodeStore(connection, "n1").register({"host": "h"})

    NodeAdmin(connection).forget("n1")

    assert node_names(connection) == []


def test_a_node_that_nobody_knows_is_told(connection: Connection) -> None:
    with pytest.raises(DiscoError, match=r"^unknown node 'n1'$"):
        NodeAdmin(connection).forget("n1")


def test_a_job_is_purged_without_asking_a_node_that_is_forgotten(connection: Connection) -> None:
    # given a job with files on two nodes, one of which is forgotten
    lead(connection)
    submit(connection, maps=2)
    for task, node in (("map:0", "n1"), ("map:1", "n2")):
        commit(connection, started(connection, task, node=node))
        NodeStore(connection, node).register({"host": "h"})
    go(connection, "n1", GONE_FOR_S + 1)
    NodeAdmin(connection).forget("n1")

    asked = Ending(connection).purge(JOB)

    assert asked == ["n2"]
    assert keys.purges("n1") not in everything(connection)


@pytest.mark.parametrize("drain", [True, False])
def test_a_node_that_nobody_knows_is_not_closed(connection: Connection, drain: bool) -> None:
    NodeStore(connection, "n1").register({"host": "here"})

    with pytest.raises(DiscoError, match="unknown node 'n2': there are n1"):
        NodeAdmin(connection).close("n2", drain=drain)

    assert NodeAdmin(connection).blacklist() == NodeAdmin(connection).draining() == set()


def test_a_name_that_nobody_knows_is_not_opened_unless_something_was_decided_about_it(
    connection: Connection,
) -> None:
    NodeStore(connection, "n1").register({"host": "here"})
    connection.redis.sadd(keys.BLACKLIST, "once")

    NodeAdmin(connection).open("once")

    assert NodeAdmin(connection).blacklist() == set()
    with pytest.raises(DiscoError, match="unknown node 'once': there are n1"):
        NodeAdmin(connection).open("once")


# -- nodes that have said good-bye


def left(connection: Connection, node: str, ago_s: float) -> None:
    NodeStore(connection, node).register({"host": "h"})
    AttemptStore(connection).renew(node, f"{node}.0")
    go(connection, node, ago_s)
    say_good_bye(connection, node)
    connection.redis.hset(keys.node(node), "left", connection.redis.hget(keys.node(node), "seen") or "")


def state_of(connection: Connection, node: str) -> str:
    return next(view.state for view in ViewStore(connection).cluster().nodes if view.name == node)


def test_a_node_that_said_good_bye_has_left_until_a_worker_of_it_lives_again(connection: Connection) -> None:
    store = NodeStore(connection, "n1")
    store.register({"host": "h"})
    AttemptStore(connection).renew("n1", "n1.0")
    AttemptStore(connection).renew("n1", "n1.1")
    states = []

    for step in ("one leaves", "the other dies", "it leaves", "it comes", "it dies"):
        match step:
            case "one leaves":
                store.drop_slots("n1.0")
                say_good_bye(connection, "n1")
                AttemptStore(connection).renew("n1", "n1.1")
            case "the other dies":
                connection.redis.hincrby(keys.node("n1"), "seen", 2)
                store.drop_slots("n1")
            case "it leaves":
                say_good_bye(connection, "n1")
                connection.redis.hincrby(keys.node("n1"), "left", 2)
            case "it comes":
                connection.redis.hincrby(keys.node("n1"), "left", -10)
                AttemptStore(connection).renew("n1", "n1.2")
            case "it dies":
                store.drop_slots("n1")
        states.append(state_of(connection, "n1"))

    assert states == ["alive", "gone", "left", "alive", "gone"]


def test_a_node_is_forgotten_a_day_after_it_said_good_bye(connection: Connection) -> None:
    left(connection, "n1", LEFT_FOR_S + 1)
    left(connection, "n2", LEFT_FOR_S - 60)
    NodeStore(connection, "n3").register({"host": "h"})
    go(connection, "n3", LEFT_FOR_S + 1)

    assert NodeAdmin(connection).forget_left() == ["n1"]

    assert node_names(connection) == ["n2", "n3"]
    assert keys.node("n1") not in everything(connection)


@pytest.mark.parametrize("why", ["blacklisted", "draining", "keeps", "alive"])
def test_a_node_that_left_stays_while_something_about_it_would_be_lost(
    connection: Connection, why: str
) -> None:
    left(connection, "n1", LEFT_FOR_S + 1)
    match why:
        case "blacklisted" | "draining":
            NodeAdmin(connection).close("n1", drain=why == "draining")
        case "keeps":
            connection.redis.sadd(keys.purges("n1"), f"keep {JOB}")
        case "alive":
            AttemptStore(connection).renew("n1", "n1.0")

    assert NodeAdmin(connection).forget_left() == []

    assert node_names(connection) == ["n1"]


def test_files_that_are_to_be_deleted_keep_no_node(connection: Connection) -> None:
    """Should it come back, it looks for them by itself."""
    left(connection, "n1", LEFT_FOR_S + 1)
    connection.redis.sadd(keys.purges("n1"), JOB)

    assert NodeAdmin(connection).forget_left() == ["n1"]


def test_a_node_that_redis_has_forgotten_says_good_bye_to_nobody(connection: Connection) -> None:
    say_good_bye(connection, "n1")

    assert keys.node("n1") not in everything(connection)
