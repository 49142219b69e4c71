"""The end of a job's records: after clean or purge nothing of it is left in Redis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from redis.client import Pipeline

from disco_rq.errors import JobError, RedisFull, UnknownJob
from disco_rq.master.retention import Retention
from disco_rq.model import TaskId
from disco_rq.store import keys
from disco_rq.store.attempts import AttemptStore
from disco_rq.store.cluster import ClusterStore
from disco_rq.store.connection import Connection
from disco_rq.store.ending import Ending
from disco_rq.store.jobs import JobStore
from disco_rq.store.nodes import NodeStore
from disco_rq.store.taskstate import Lease
from tests.redis.story import (
    JOB,
    OTHER,
    assign,
    commit,
    copy_of,
    everything,
    expire_lease,
    fail,
    lead,
    lose,
    put,
    race,
    started,
    submit,
)
from tests.redis.test_bad_entries import commit as commit_with_bad_entries

CLUSTERS_OWN = {keys.LEADER, keys.MASTER, keys.CONTROL, keys.node("n1")}


def live_through_everything(connection: Connection) -> None:
    """A job that has every kind of key, with an attempt that runs."""
    submit(connection, maps=6, reduces=2, max_bad=10)
    commit_with_bad_entries(connection, started(connection, "map:5"), 1)
    kept = started(connection, "map:4")
    AttemptStore(connection).put(kept, "key", b"j1", 1)
    commit(connection, kept, counters={"lines": 1}, partitions={0: 10}, digests=b"some")
    commit(connection, started(connection, "map:0"), digests=b"some")
    lose(connection)
    commit(connection, started(connection, "map:0", 2), digests=b"some")
    fail(connection, started(connection, "map:1"))
    commit(connection, started(connection, "reduce:1"))
    assign(connection, [(TaskId("map", 2), 1)])
    running = started(connection, "map:3")
    put(connection, running, "other")
    put(connection, copy_of(connection, running), "other")
    AttemptStore(connection).message(JOB, "n1", "hello")
    connection.redis.set(keys.JobKeys(JOB).ranges, b"of a total order")
    connection.redis.sadd(keys.JobKeys(JOB).pilot, "map:2")


def test_every_kind_of_key_of_a_job_is_there_before(connection: Connection) -> None:
    lead(connection)

    live_through_everything(connection)

    job = keys.JobKeys(JOB)
    assert set(everything(connection)) == {
        *job.records(),
        job.staged(TaskId("map", 3)),
        *CLUSTERS_OWN,
        keys.TOTALS,
        keys.JOBS,
        keys.ACTIVE,
        keys.LEASES,
    }


def test_after_forget_nothing_of_the_job_is_left(connection: Connection) -> None:
    # given
    lead(connection)
    live_through_everything(connection)
    Ending(connection).kill(JOB, "it was purged")

    # when
    Ending(connection).forget(JOB)
    Ending(connection).forget(JOB)

    # then
    assert set(everything(connection)) == {*CLUSTERS_OWN, keys.TOTALS}


def test_forgetting_leaves_other_jobs_alone(connection: Connection) -> None:
    lead(connection)
    submit(connection, name=OTHER)
    before = everything(connection)
    live_through_everything(connection)
    Ending(connection).kill(JOB, "why")

    Ending(connection).forget(JOB)

    after = everything(connection)
    for key in set(before) - {keys.CONTROL}:
        assert after[key] == before[key]


def test_forgetting_no_job_makes_none(connection: Connection) -> None:
    Ending(connection).forget(JOB)

    assert set(everything(connection)) <= {keys.CONTROL}


def test_a_worker_that_goes_on_with_a_forgotten_job_leaves_nothing(
    connect: Callable[[], Connection],
) -> None:
    """At whatever moment of the forgetting its calls come."""
    clients = [connect() for _ in range(3)]
    lead(clients[0])
    for i in range(15):
        name = f"job@20260101-000000-{i:04}"
        submit(clients[0], maps=3, name=name)
        attempts = [started(clients[0], f"map:{n}", job=name, worker=f"w{n}") for n in range(2)]
        put(clients[0], attempts[0], "key")
        assign(clients[0], [(TaskId("map", 2), 1)], job=name)
        Ending(clients[0]).kill(name, "why")

        def play(client: Connection, n: int, name: str = name, attempts: list = attempts) -> None:  # type: ignore[type-arg]
            if n == 0:
                Ending(client).forget(name)
                return
            attempt = attempts[n - 1]
            store = AttemptStore(client)
            put(client, attempt, f"late:{n}", count=2)
            store.message(name, "n1", "late")
            store.event(name, "n1", "late")
            assert commit(client, attempt) != "ok"
            assert store.claim(name, "batch-1", "w9", [(TaskId("map", 2), 1)]) == [None]
            fail(client, attempt)

        race(clients, play)

    assert set(everything(clients[0])) == CLUSTERS_OWN - {keys.node("n1")}


def test_pausing_a_job_that_is_forgotten_meanwhile_does_not_bring_it_back(
    connection: Connection, connect: Callable[[], Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    lead(connection)
    submit(connection)
    jobs = JobStore(connection)
    look = Pipeline.hget

    def looked_then_forgotten(pipe: Pipeline, name: str, key: str) -> object:
        found = look(pipe, name, key)
        monkeypatch.setattr(Pipeline, "hget", look)
        other = Ending(connect())
        other.kill(JOB, "why")
        other.forget(JOB)
        return found

    monkeypatch.setattr(Pipeline, "hget", looked_then_forgotten)

    with pytest.raises(UnknownJob, match=JOB):
        jobs.set_paused(JOB, True)

    assert keys.JobKeys(JOB).job not in everything(connection)


@pytest.mark.parametrize("paused", [True, False])
def test_pausing_an_unknown_job_is_told(connection: Connection, paused: bool) -> None:
    with pytest.raises(UnknownJob, match=JOB):
        JobStore(connection).set_paused(JOB, paused)
    assert everything(connection) == {}


@pytest.mark.parametrize("paused", [True, False])
def test_a_job_that_has_ended_is_not_paused_and_not_resumed(connection: Connection, paused: bool) -> None:
    lead(connection)
    submit(connection)
    Ending(connection).kill(JOB, "why")
    before = everything(connection)

    with pytest.raises(JobError, match=f"job {JOB} has ended: it is dead"):
        JobStore(connection).set_paused(JOB, paused)

    assert everything(connection) == before


def test_a_pause_is_seen_by_master_and_told(connection: Connection) -> None:
    lead(connection)
    store = ClusterStore(connection)
    submit(connection)

    JobStore(connection).set_paused(JOB, True)

    snapshot = store.snapshot(JOB)
    assert snapshot is not None
    assert snapshot.paused
    assert [event.kind for event in store.read_control("0-0", 1)[1]] == ["submitted", "changed"]


def test_a_purge_of_a_known_job_is_asked_of_the_nodes_that_ran_it_and_of_no_other(
    connection: Connection,
) -> None:
    for name in ("n1", "gone for good"):
        NodeStore(connection, name).register({"host": "h"})
    lead(connection)
    submit(connection)
    started(connection, "map:0")

    assert Ending(connection).purge(JOB) == ["n1"]

    assert keys.purges("gone for good") not in everything(connection)


@pytest.mark.parametrize("is_deleted", [True, False])
def test_a_node_is_not_asked_for_files_that_the_client_has_deleted_itself(
    connection: Connection, is_deleted: bool
) -> None:
    # given a job that has run on a node
    node = NodeStore(connection, "n1")
    node.register({"host": "h"})
    lead(connection)
    submit(connection)
    started(connection, "map:0")
    asked: list[tuple[str, str, bool]] = []

    def delete_here(node: str, job: str) -> bool:
        asked.append((node, job, keys.JobKeys(job).job in everything(connection)))
        return is_deleted

    # when it is purged by a client that may reach the node's files
    left = Ending(connection).purge(JOB, delete_here=delete_here)
    # then it was asked once, when nobody knew of the job any more
    assert asked == [("n1", JOB, False)]
    # and the node is to do what is left
    assert left == ([] if is_deleted else ["n1"])
    assert node.purges() == ([] if is_deleted else [JOB])
    assert (keys.wake("n1") in everything(connection)) is not is_deleted


def test_a_purge_of_an_unknown_job_is_asked_of_every_node_and_done_when_each_has_said_so(
    connection: Connection,
) -> None:
    nodes = [NodeStore(connection, name) for name in ("n1", "n2")]
    for node in nodes:
        node.register({"host": "h"})

    asked = Ending(connection).ask_purge(JOB)
    Ending(connection).wake_nodes(asked)

    assert asked == ["n1", "n2"]
    assert not Ending(connection).purge_done(JOB, asked)
    for node in nodes:
        assert node.purges() == [JOB]
        assert node.wait_purge(1)
        node.purged(JOB)
    assert Ending(connection).purge_done(JOB, asked)
    assert set(everything(connection)) == {keys.NODES, keys.node("n1"), keys.node("n2"), keys.CONTROL}


def test_a_lease_of_no_attempt_at_all_is_dropped_when_it_has_run_out(
    connection: Connection, up_for_long: None
) -> None:
    leads, store = lead(connection), ClusterStore(connection)
    connection.redis.zadd(keys.LEASES, {f"{JOB} map:3 1": 1})

    [(lease, _)] = store.expired_leases(store.now_ms())
    assert leads.end_attempt(lease, None, "lost", "lost") == "overtaken"
    leads.forget_lease(lease)

    assert keys.LEASES not in everything(connection)


def test_a_lease_of_a_job_that_ended_is_cleared_away(connection: Connection) -> None:
    leads, store = lead(connection), ClusterStore(connection)
    submit(connection)
    attempt = started(connection, "map:0")
    put(connection, attempt, "key")
    Ending(connection).kill(JOB, "why")
    expire_lease(connection, attempt)

    state = store.task_state(JOB, TaskId("map", 0))
    answer = leads.end_attempt(Lease(JOB, TaskId("map", 0), 1), state, "lost", "lost", survives=3)

    assert answer == "over"
    assert store.expired_leases(store.now_ms()) == []
    assert keys.JobKeys(JOB).staged(TaskId("map", 0)) not in everything(connection)


def test_what_was_killed_while_it_forgot_a_job_is_done_to_its_end(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a job whose own record is gone, and no more
    class Killed(BaseException):
        pass

    def kill(key: str) -> None:
        raise Killed

    lead(connection)
    live_through_everything(connection)
    Ending(connection).kill(JOB, "enough")
    with monkeypatch.context() as patch:
        patch.setattr(connection.redis, "hgetall", kill)
        with pytest.raises(Killed):
            Ending(connection).forget(JOB)
    assert len(everything(connection)) > len(CLUSTERS_OWN)
    # when the master looks for old jobs, also where none is ever too old
    Retention(connection, None)._purge_old()
    # then nothing is left, and no node is asked for files, which may have to stay
    assert set(everything(connection)) <= CLUSTERS_OWN | {keys.TOTALS, keys.NODES}


def test_a_purge_that_makes_room_first_leaves_nothing_either(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a job that was killed while attempts ran, in a Redis that is full until something goes
    lead(connection)
    live_through_everything(connection)
    ending = Ending(connection)
    ask, events = ending.ask_purge, keys.JobKeys(JOB).events

    def ask_if_there_is_room(name: str, *what: Any) -> list[str]:
        if connection.redis.exists(events):
            raise RedisFull("full")
        return ask(name, *what)

    monkeypatch.setattr(ending, "ask_purge", ask_if_there_is_room)
    # when
    ending.purge(JOB)
    # then
    assert set(everything(connection)) <= CLUSTERS_OWN | {keys.TOTALS, keys.NODES}
