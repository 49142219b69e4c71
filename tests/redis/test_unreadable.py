"""Records that nobody can read: whatever lies in one key, masters, pages and the jobs beside it go on."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from disco_rq import Disco
from disco_rq.master.master import Master
from disco_rq.model import TaskId
from disco_rq.settings import Settings
from disco_rq.store import keys
from disco_rq.store.cluster import ClusterStore, ControlEvent, TaskEvent
from disco_rq.store.connection import Connection
from disco_rq.store.ending import Ending
from disco_rq.store.jobs import JobStore
from disco_rq.store.nodes import NodeStore, open_kits
from disco_rq.store.viewing import ViewStore
from tests.redis.fake_node import master, register, working
from tests.redis.story import JOB, OTHER, lead, submit, wait_until
from tests.redis.test_master import ended

Connect = Callable[[], Connection]
Spoil = Callable[[redis.Redis, str], Any]

STRANGE = b"\xff\xfe strange"
CLUSTER_KEYS = {
    **{key: kind for key, kind in keys.cluster_types().items() if key != keys.LEADER},
    **keys.node_types("n1"),
    **keys.node_types("gone"),
}
JOB_KEYS = keys.JobKeys(OTHER).types()


def garbage(server: redis.Redis, key: str, kind: str) -> None:
    """Members and fields of the right type, and of no sense."""
    match kind:
        case "string":
            server.set(key, STRANGE)
        case "hash":
            for field in [*(server.hkeys(key) or []), b"map:0", b"seen", b"status", STRANGE]:
                server.hset(key, field, STRANGE)
        case "set":
            server.sadd(key, STRANGE, "", "a b c d")
        case "zset":
            members: Any = {STRANGE: 1, "": 2, "a": 3, "a b": 5, "1 2 3 4": 7, b"x \xff 1": 4}
            server.zadd(key, members)
        case "stream":
            entries: list[Any] = [{"x": "y"}, {"k": STRANGE, "j": STRANGE}, {"k": "done", "t": "x", "a": "?"}]
            for fields in entries:
                server.xadd(key, fields)
        case "list":
            server.rpush(key, STRANGE)


def another_type(server: redis.Redis, key: str, kind: str) -> None:
    server.delete(key)
    server.rpush(key, "x") if kind != "list" else server.set(key, "x")


def look_at_everything(connection: Connection) -> None:
    """As page, command line and clients do."""
    view, jobs = ViewStore(connection), JobStore(connection)
    view.cluster()
    view.totals()
    view.heads(view.job_names(0, -1))
    view.ended_before(0)
    open_kits(connection, ["numpy"], ["n1"])
    with Disco(connection.url) as disco:
        disco.nodeinfo()
        disco.joblist()
    assert jobs.record(JOB).status == "ready"


@pytest.fixture(autouse=True)
def told_once(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.WARNING):
        yield
    assert len(caplog.records) < 60


@pytest.mark.parametrize("how", [garbage, another_type])
@pytest.mark.parametrize(("key", "kind"), CLUSTER_KEYS.items())
def test_a_job_ends_whatever_lies_in_a_key_of_the_cluster(
    connect: Connect, connection: Connection, key: str, kind: str, how: Any
) -> None:
    register(connection, "n1")
    how(connection.redis, key, kind)
    with master(connect):
        NodeStore(connect(), "n1").set_aside()  # as each worker does
        if key in keys.cluster_types():
            kinds = kind.encode(), b"none"
            wait_until(lambda: connection.redis.type(key) in kinds, 15)
            wait_until(lambda: connection.redis.exists(keys.LEADER) == 1)
        register(connection, "n1")
        submit(connection)
        with working(connect, "n1", slots=4):
            wait_until(lambda: ended(connection), 15)

    look_at_everything(connection)


@pytest.mark.parametrize("how", [garbage, another_type])
@pytest.mark.parametrize(("key", "kind"), JOB_KEYS.items())
@pytest.mark.parametrize("when", ["before"])
def test_a_job_ends_whatever_lies_in_a_record_of_another(
    connect: Connect, connection: Connection, key: str, kind: str, how: Any, when: str
) -> None:
    lead(connection, "before")
    register(connection, "n1")
    submit(connection, name=OTHER)
    if when == "before":
        how(connection.redis, key, kind)
    connection.redis.delete(keys.LEADER)
    with master(connect):
        if when == "meanwhile":
            how(connection.redis, key, kind)
            connection.redis.xadd(keys.CONTROL, {"k": "changed", "j": OTHER})
        submit(connection)
        with working(connect, "n1", slots=4):
            wait_until(lambda: ended(connection), 15)

    look_at_everything(connection)
    Ending(connection).purge(OTHER)
    assert not connection.redis.keys(f"{keys.JobKeys(OTHER).job}*")


def test_a_job_whose_tasks_event_cannot_be_read_is_read_again(connection: Connection) -> None:
    good = {"k": "done", "j": JOB, "t": "map:0 map:1", "a": "1 2", "ms": "5 7", "n": "n1"}
    entries: list[Any] = [good, good | {"t": "map:0 map:x"}, good | {"a": "1"}, {"k": "failed", "j": JOB}]
    for fields in entries:
        connection.redis.xadd(keys.CONTROL, fields)

    _, events = ClusterStore(connection).read_control("0-0", 1)

    first, second = TaskId("map", 0), TaskId("map", 1)
    assert events == [
        TaskEvent("done", JOB, first, 1, "n1", 5),
        TaskEvent("done", JOB, second, 2, "n1", 7),
        *[ControlEvent("changed", JOB)] * 3,
    ]


def test_a_leader_that_holds_no_lease_leads_nobody(connect: Connect, connection: Connection) -> None:
    """Such as a word that somebody set by hand, or a backup brought back without its end."""
    connection.redis.set(keys.LEADER, "for ever")
    one = Master(connect(), Settings(http="127.0.0.1:8989"))
    thread = threading.Thread(target=one.run)
    thread.start()
    try:
        wait_until(lambda: connection.redis.ttl(keys.LEADER) > 0)
    finally:
        one.stop()
        thread.join()
