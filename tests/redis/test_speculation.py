"""The master and tasks that lag, against a real server, with workers that run nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from disco_rq.master import caretaker, term
from disco_rq.master import master as master_module
from disco_rq.model import TaskId
from disco_rq.store.attempts import Attempt, AttemptStore
from disco_rq.store.cluster import ClusterStore
from disco_rq.store.connection import Connection
from disco_rq.store.ending import Ending
from disco_rq.store.jobs import JobStore
from disco_rq.store.lead import Lead
from disco_rq.store.queues import Queues
from tests.redis.fake_node import commit_it, master, queued, register, take, working
from tests.redis.story import (
    JOB,
    assign_copy,
    commit,
    copy_of,
    history,
    lead,
    started,
    state_of,
    submit,
    wait_until,
)

Connect = Callable[[], Connection]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch, up_for_long: None) -> None:
    """Times that a test can wait for."""
    monkeypatch.setattr(term, "POLL_MS", 30)
    monkeypatch.setattr(master_module, "RENEW_S", 0.1)
    monkeypatch.setattr(caretaker, "QUEUE_PATIENCE_S", 0.15)


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The batches that the master told a worker to stop."""
    batches: list[str] = []
    monkeypatch.setattr(Queues, "stop", lambda _, batch_id: batches.append(batch_id))
    return batches


def ended(connection: Connection) -> bool:
    return JobStore(connection).record(JOB).status != "active"


def never_ends(connection: Connection, attempt: Attempt) -> None:
    """As a task that hangs, of a worker that lives."""


def running(connection: Connection) -> list[str]:
    return sorted(f"{one.task}/{one.attempt}" for one in JobStore(connection).running())


def test_a_task_that_lags_is_copied_and_the_copy_may_win(
    connect: Connect, connection: Connection, stopped: list[str]
) -> None:
    # given a node whose workers hang, and another
    with (
        master(connect),
        working(connect, "bad", outcome=never_ends) as hung,
        working(connect, "good", slots=2),
    ):
        submit(connection, maps=6, reduces=0)
        wait_until(lambda: ended(connection))
        wait_until(lambda: any(batch.startswith(JOB.replace("@", "-") + "_map") for batch in stopped))

    # then each task that hung was done by a copy, and the worker of the other was told
    assert JobStore(connection).record(JOB).status == "ready"
    assert JobStore(connection).counters(JOB) == {"tasks": 6}
    assert hung
    for attempt in hung:
        assert [one["outcome"] for one in JobStore(connection).story(JOB, attempt.task)][-1] == "done"
    assert any("lags on bad" in line and "a copy starts on good" in line for line in history(connection))
    assert running(connection) == []


def test_what_waits_in_the_queue_of_a_stuck_node_moves_to_an_idle_slot(
    connect: Connect, connection: Connection
) -> None:
    register(connection, "stuck", slots=2)  # nobody takes what is queued there
    with master(connect), working(connect, "good", slots=2) as claimed:
        submit(connection, maps=6, reduces=0)
        wait_until(lambda: ended(connection))

    assert {attempt.task for attempt in claimed} == {TaskId("map", i) for i in range(6)}
    assert queued(connection, "stuck") == []
    assert JobStore(connection).record(JOB).phase("map") == [0, 0, 6, 0]
    assert JobStore(connection).record(JOB).count("copies") == 0


def test_a_new_master_knows_the_copies_and_how_long_tasks_take(
    connect: Connect, connection: Connection, stopped: list[str]
) -> None:
    # given a job with a copy, and one with a task that lags, whose master has died
    store = lead(connection)
    submit(connection, maps=4, reduces=0)
    for i in range(2):
        commit(connection, started(connection, f"map:{i}"), duration_ms=10)
    own = started(connection, "map:2")
    copy = copy_of(connection, own)
    late = started(connection, "map:3", worker="w3")
    store.resign()

    # when another one comes
    register(connection, "n1", slots=4)
    register(connection, "n2", slots=4)
    with master(connect):
        wait_until(lambda: len(queued(connection, "n2")) == 1)
        taken = take(connection, "n2")

        # then the second gets a copy, and the first no other one
        assert taken is not None
        assert taken[2] == [(TaskId("map", 3), 2)]
        assert JobStore(connection).record(JOB).count("copies") == 2
        commit_it(connection, copy)
        wait_until(lambda: "map-2_1" in stopped)
        commit_it(connection, late)
        wait_until(lambda: taken[1] in stopped)
    assert ended(connection)


def test_a_copy_that_comes_too_late_is_refused_and_forgotten(
    connect: Connect, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task is committed between the look and the promise."""
    store = lead(connection)
    submit(connection, maps=3, reduces=1)
    for i in range(2):
        commit(connection, started(connection, f"map:{i}"), duration_ms=10)
    own = started(connection, "map:2")
    store.resign()
    promise = Lead.assign_copy
    monkeypatch.setattr(Lead, "assign_copy", lambda *args: (commit(connection, own), promise(*args))[1])

    with master(connect), working(connect, "n2") as claimed, working(connect, "n1", slots=2):
        wait_until(lambda: ended(connection))

    assert JobStore(connection).record(JOB).count("copies") == 0
    assert not [attempt for attempt in claimed if attempt.task == TaskId("map", 2)]
    assert state_of(connection, "map:2") == "done 1"


@pytest.mark.parametrize("options", [{"speculative": False}, {"msg_overflow": "fail"}], ids=str)
def test_a_job_may_be_without_copies(
    connect: Connect, connection: Connection, options: dict[str, Any]
) -> None:
    """Its own wish; or since messages that are sent twice could end it."""
    with (
        master(connect) as one,
        working(connect, "bad", outcome=never_ends) as hung,
        working(connect, "good", slots=2),
    ):
        submit(connection, maps=6, reduces=0, **options)
        wait_until(lambda: JobStore(connection).record(JOB).phase("map")[2] >= 4 and bool(hung))
        assert not one._term.board.jobs[JOB].speculative
        Ending(connection).kill(JOB, "enough")

    assert JobStore(connection).record(JOB).count("copies") == 0


def test_a_copy_that_nobody_claims_is_handed_back_and_its_task_runs_on(
    connect: Connect, connection: Connection
) -> None:
    leads, store = lead(connection), ClusterStore(connection)
    submit(connection, maps=1, reduces=0)
    own = started(connection, "map:0")
    assign_copy(connection, own, node="gone")
    leads.resign()

    register(connection, "n1")
    with master(connect):
        wait_until(lambda: store.states([(JOB, TaskId("map", 0))])[0][1] is not None)
        wait_until(lambda: getattr(store.states([(JOB, TaskId("map", 0))])[0][1], "state", "") == "waiting")
        assert AttemptStore(connection).claim(JOB, "copy-1", "w2", [(TaskId("map", 0), 2)]) == [None]
        assert commit(connection, own) == "ok"
