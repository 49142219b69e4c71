"""The master carries out what clients ask for, and leaves nothing in RQ of jobs that are gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from rq.job import Job

from disco_rq.master import caretaker
from disco_rq.planning.assignment import job_of_batch, rq_name
from disco_rq.store import keys
from disco_rq.store.connection import Connection
from disco_rq.store.ending import Ending
from disco_rq.store.jobs import JobStore
from disco_rq.store.nodes import NodeAdmin, NodeStore
from disco_rq.store.queues import node_queue
from disco_rq.store.viewing import ViewStore
from tests.redis.fake_node import master, queued, register, working
from tests.redis.story import (
    JOB,
    OTHER,
    everything,
    lead,
    submit,
    wait_until,
)
from tests.redis.test_master import Connect, ended, soon

__all__ = ["soon"]


def test_a_blacklisted_node_gets_nothing_and_its_queue_moves(
    connect: Connect, connection: Connection
) -> None:
    # given a node with a batch in its queue
    register(connection, "bad")
    with master(connect):
        submit(connection, maps=4, reduces=0)
        wait_until(lambda: len(queued(connection, "bad")) == 1)

        # when it is blacklisted
        NodeAdmin(connection).close("bad", drain=False)
        with working(connect, "n1") as claimed:
            wait_until(lambda: ended(connection))

    # then
    assert len(claimed) == 4
    assert queued(connection, "bad") == []


def test_a_node_whose_keys_of_rq_are_others_gets_nothing(connect: Connect, connection: Connection) -> None:
    # given one that would never see what this master puts into its queue
    register(connection, "apart")
    NodeStore(connection, "apart").register({"rq_prefix": "foo"})
    view = ViewStore(connection)
    with master(connect):
        submit(connection, maps=4, reduces=0)
        wait_until(lambda: "begin with foo, the master's with rq" in "".join(view.waiting().values()))
        with working(connect, "n1") as claimed:
            wait_until(lambda: ended(connection))

    assert len(claimed) == 4
    assert queued(connection, "apart") == []


def test_a_whitelisted_node_gets_tasks_again(connect: Connect, connection: Connection) -> None:
    register(connection, "n1")
    NodeAdmin(connection).close("n1", drain=False)
    with master(connect), working(connect, "n1") as claimed:
        submit(connection)
        NodeAdmin(connection).open("n1")
        wait_until(lambda: ended(connection))

    assert len(claimed) == 3


def test_a_paused_job_starts_nothing_until_it_is_resumed(connect: Connect, connection: Connection) -> None:
    lead(connection)
    submit(connection)
    JobStore(connection).set_paused(JOB, True)
    connection.redis.delete(keys.LEADER)

    with master(connect), working(connect, "n1") as claimed:
        submit(connection, name=OTHER)
        wait_until(lambda: ended(connection, OTHER))
        assert {attempt.job for attempt in claimed} == {OTHER}
        JobStore(connection).set_paused(JOB, False)
        wait_until(lambda: ended(connection))


def test_a_killed_job_is_forgotten_by_the_master(connect: Connect, connection: Connection) -> None:
    register(connection, "n1")
    with master(connect):
        submit(connection, maps=10)
        wait_until(lambda: len(queued(connection, "n1")) == 1)
        Ending(connection).kill(JOB, "enough")
        Ending(connection).forget(JOB)
        submit(connection, maps=1, reduces=0, name=OTHER)
        with working(connect, "n1") as claimed:
            wait_until(lambda: ended(connection, OTHER))

    assert [attempt.job for attempt in claimed] == [OTHER]
    assert keys.JobKeys(JOB).job not in everything(connection)


def test_a_draining_node_finishes_what_it_has_and_gets_nothing_new(
    connect: Connect, connection: Connection
) -> None:
    # given a node with a batch in its queue
    register(connection, "leaving")
    with master(connect):
        submit(connection, maps=4, reduces=0)
        wait_until(lambda: len(queued(connection, "leaving")) == 1)
        [held] = queued(connection, "leaving")

        # when it is drained, and another one comes
        NodeAdmin(connection).close("leaving", drain=True)
        with working(connect, "n1") as elsewhere:
            wait_until(lambda: len(elsewhere) == 3)
            assert queued(connection, "leaving") == [held]
            with working(connect, "leaving") as here:
                wait_until(lambda: ended(connection))

    # then
    assert len(here) == 1
    assert len(elsewhere) == 3


# -- what RQ keeps


def test_rq_does_not_keep_failed_batches_of_jobs_that_are_gone(
    connect: Connect, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RQ notices a dead worker only minutes later, when its job may have been purged for long."""
    monkeypatch.setattr(caretaker, "CLEANING_S", 0.1)
    register(connection, "n1")
    queue = node_queue(connection.redis, "n1")

    with master(connect):
        submit(connection)
        for job in (JOB, OTHER):
            for i in range(2):
                batch = queue.create_job("module.function", job_id=f"{rq_name(job)}_map-0_1-{i:04}")
                queue.failed_job_registry.add(batch, 3600, "its worker died")
        wait_until(lambda: len(queue.failed_job_registry.get_job_ids(cleanup=False)) == 2)

    kept = queue.failed_job_registry.get_job_ids(cleanup=False)
    assert {job_of_batch(batch) for batch in kept} == {rq_name(JOB)}
    assert not [key for key in everything(connection) if rq_name(OTHER) in key]


def test_a_master_goes_on_where_a_worker_or_time_has_deleted_half_of_what_rq_kept(
    connect: Connect, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caretaker, "CLEANING_S", 0.1)
    register(connection, "n1")
    queue = node_queue(connection.redis, "n1")

    def keep(batch_id: str) -> Job:
        batch = queue.create_job("module.function", job_id=batch_id)
        queue.failed_job_registry.add(batch, 3600, "its worker died")
        return batch

    # given an execution that has expired, and a record whose status is gone
    executions = keep(f"{rq_name(JOB)}_map-0_1-0000").execution_registry
    connection.redis.zadd(executions.key, {"expired": 1})
    connection.redis.hdel(keep(f"{rq_name(JOB)}_map-1_1-0001").key, "status")
    with master(connect) as one:
        wait_until(lambda: not queue.failed_job_registry.get_job_ids(cleanup=False))
        one_caretaker = one._term.caretaker

    # and the same of another job, which its caretaker, alone now, is to forget
    keep(f"{rq_name(OTHER)}_map-0_1-0000")
    connection.redis.hdel(keep(f"{rq_name(OTHER)}_map-1_1-0001").key, "status")
    one_caretaker.forget(OTHER)

    assert not [key for key in everything(connection) if rq_name(JOB) in key or rq_name(OTHER) in key]


def test_of_jobs_that_are_forgotten_one_after_the_other_rq_is_searched_together(
    connect: Connect, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a caretaker that is alone
    register(connection, "n1")
    with master(connect) as one:
        wait_until(lambda: hasattr(one, "_term"))
        one_caretaker = one._term.caretaker
    batches = [f"{rq_name(job)}_map-0_1-0000" for job in (JOB, OTHER)]
    searched: list[list[bool]] = []

    def search(_nodes: Any, is_forgotten: Callable[[str], bool]) -> None:
        searched.append([is_forgotten(batch) for batch in batches])

    monkeypatch.setattr(one_caretaker._queues, "forget", search)
    # when two jobs are forgotten, then it searches for the first one at once
    for job in (JOB, OTHER):
        one_caretaker.forget(job)
    assert searched == [[True, False]]
    # and for the others when it looks next
    one_caretaker.look()
    assert searched[1:] == [[True, True]]
