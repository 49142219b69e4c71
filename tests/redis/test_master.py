"""The master against a real server, with workers that run nothing: phases, take-over, losses, fairness."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from disco_rq.master import caretaker, term
from disco_rq.master import master as master_module
from disco_rq.master.term import Term
from disco_rq.model import TaskId
from disco_rq.planning.assignment import Assignment
from disco_rq.settings import Settings
from disco_rq.store import keys
from disco_rq.store.attempts import Attempt, AttemptStore
from disco_rq.store.cluster import ClusterStore
from disco_rq.store.connection import Connection
from disco_rq.store.jobs import JobStore
from disco_rq.store.lead import Lead
from disco_rq.store.nodes import NodeStore
from disco_rq.store.taskstate import TaskState
from tests.redis.fake_node import commit_it, master, queued, register, take, working
from tests.redis.story import (
    JOB,
    OTHER,
    assign,
    commit,
    everything,
    expire_lease,
    fail,
    history,
    lead,
    put,
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


def ended(connection: Connection, job: str = JOB) -> bool:
    return JobStore(connection).record(job).status != "active"


def die_abruptly(one: master_module.Master, connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """As by kill -9: it says nothing, and its lease runs out."""
    monkeypatch.setattr(one._lead, "resign", lambda: None)
    monkeypatch.setattr(one._lead, "take", lambda _: False)
    one.stop()
    connection.redis.pexpire(keys.LEADER, 1)


def test_maps_then_reduces_then_ready(connect: Connect, connection: Connection) -> None:
    with master(connect), working(connect, "n1", slots=2) as claimed:
        submit(connection, maps=7, reduces=3)
        wait_until(lambda: ended(connection))

    assert JobStore(connection).record(JOB).status == "ready"
    assert Counter(attempt.task for attempt in claimed) == {
        **{TaskId("map", i): 1 for i in range(7)},
        **{TaskId("reduce", i): 1 for i in range(3)},
    }
    phases = [attempt.task.phase for attempt in claimed]
    assert phases == sorted(phases)  # no reduce before the last map
    assert JobStore(connection).counters(JOB) == {"tasks": 10}


def commit_unevenly(connection: Connection, attempt: Attempt) -> None:
    commit(connection, attempt, partitions={0: 10, 1: 30, 2: 20}, duration_ms=5000)


BIGGEST_FIRST = [TaskId("reduce", partition) for partition in (1, 2, 0, 3)]


def test_the_biggest_reduce_starts_first(connect: Connect, connection: Connection) -> None:
    with master(connect), working(connect, "n1", outcome=commit_unevenly) as claimed:
        submit(connection, maps=2, reduces=4)
        wait_until(lambda: ended(connection))

    assert [attempt.task for attempt in claimed[2:]] == BIGGEST_FIRST


def test_a_master_that_comes_after_the_maps_starts_the_biggest_reduce_first(
    connect: Connect, connection: Connection
) -> None:
    store = lead(connection)
    submit(connection, maps=1, reduces=4)
    commit_unevenly(connection, started(connection, "map:0"))
    store.resign()

    with master(connect), working(connect, "n1", outcome=commit_unevenly) as claimed:
        wait_until(lambda: ended(connection))

    assert [attempt.task for attempt in claimed] == BIGGEST_FIRST


def test_a_job_waits_for_a_node_and_goes_on_when_one_comes(connect: Connect, connection: Connection) -> None:
    with master(connect):
        submit(connection)
        with working(connect, "late"):
            wait_until(lambda: ended(connection))

    assert JobStore(connection).record(JOB).status == "ready"


def test_a_queue_holds_no_more_than_slots_plus_one(connect: Connect, connection: Connection) -> None:
    register(connection, "n1", slots=2)
    with master(connect) as one:
        submit(connection, maps=50)
        wait_until(lambda: len(queued(connection, "n1")) == 2)
        submit(connection, maps=50, name=OTHER)
        wait_until(
            lambda: keys.CONTROL not in everything(connection) or one._term.board.jobs.keys() == {JOB, OTHER}
        )

    assert len(queued(connection, "n1")) == 2  # not one ahead before it is known that tasks are short


def test_a_big_job_does_not_hold_up_a_small_one(connect: Connect, connection: Connection) -> None:
    def long_task(client: Connection, attempt: Attempt) -> None:
        commit_it(client, attempt, duration_ms=5000)

    with master(connect), working(connect, "n1", outcome=long_task) as claimed:
        submit(connection, maps=300, name=OTHER)
        wait_until(lambda: len(claimed) > 2)
        submit(connection, maps=2, reduces=0)
        wait_until(lambda: ended(connection))
        before = [attempt.job for attempt in claimed].index(JOB)
        wait_until(lambda: ended(connection, OTHER))

    behind = Counter(attempt.job for attempt in claimed[before:])
    assert behind[OTHER] > 5


# -- several masters


def test_a_second_master_goes_on_where_the_first_one_died(
    connect: Connect, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a first master that dies in the middle of a job, with batches in the queue
    register(connection, "n1", slots=3)
    with master(connect) as first:
        submit(connection, maps=12, reduces=2)
        wait_until(lambda: len(queued(connection, "n1")) >= 3)
        die_abruptly(first, connection, monkeypatch)
    in_queue = queued(connection, "n1")

    # when another one comes
    wait_until(lambda: not connection.redis.exists(keys.LEADER))
    with master(connect), working(connect, "n1", slots=3) as claimed:
        wait_until(lambda: ended(connection))

    # then nothing is lost, nothing runs twice
    assert len(in_queue) >= 3
    assert JobStore(connection).record(JOB).status == "ready"
    assert set(Counter(str(attempt) for attempt in claimed).values()) == {1}
    assert JobStore(connection).counters(JOB) == {"tasks": 14}


def test_events_that_nobody_read_are_not_missed(connect: Connect, connection: Connection) -> None:
    """Everything happens while no master runs."""
    store = lead(connection)
    submit(connection, maps=4)
    assign(connection, [(TaskId("map", 0), 1), (TaskId("map", 1), 1), (TaskId("map", 2), 1)])
    for i in range(3):
        AttemptStore(connection).claim(JOB, "batch-1", "w1", [(TaskId("map", i), 1)])
    commit_it(connection, Attempt(JOB, TaskId("map", 0), 1, "n1", "w1"))
    fail(connection, Attempt(JOB, TaskId("map", 1), 1, "n1", "w1"))
    store.resign()
    store.trim_control("99999999999999-0")

    with master(connect), working(connect, "n2") as claimed:
        wait_until(lambda: "map:3/1" in [str(attempt) for attempt in claimed])
        commit_it(connection, Attempt(JOB, TaskId("map", 2), 1, "n1", "w1"))
        wait_until(lambda: ended(connection))

    assert sorted(str(attempt) for attempt in claimed) == ["map:1/2", "map:3/1", "reduce:0/1"]


def test_only_one_of_two_masters_assigns(connect: Connect, connection: Connection) -> None:
    with master(connect), master(connect), working(connect, "n1", slots=2) as claimed:
        submit(connection, maps=20)
        wait_until(lambda: ended(connection))

    assert len(claimed) == 21


def test_a_leader_that_was_paused_can_do_no_harm(connect: Connect, connection: Connection) -> None:
    # given an old leader that planned, and was stopped before it could carry that out
    old = master_module.Master(connect(), Settings())
    assert old._lead.take("old:1")
    submit(connection, maps=1)
    connection.redis.delete(keys.LEADER)
    assert Lead(connection, "new").take("new:2")
    before = everything(connection)

    # when it goes on
    office = Term(old._store, old._lead, old._queues, old._retention, old._ends)
    assert office._assign([Assignment(JOB, "n1", ((TaskId("map", 0), 1),), "old")]) is False

    # then the task is free for the new one, and what is in the queue is refused
    after = everything(connection)
    assert {key: after[key] for key in before} == before
    taken = take(connection, "n1")
    if taken is not None:
        assert AttemptStore(connection).claim(taken[0], taken[1], "w1", taken[2]) == [None]
    assert assign(connection, [(TaskId("map", 0), 1)], token="new") == 1


# -- losses


def test_a_lost_lease_fails_its_attempt_and_the_task_runs_elsewhere(
    connect: Connect, connection: Connection
) -> None:
    def die_first(client: Connection, attempt: Attempt) -> None:
        if attempt.number > 1:
            commit_it(client, attempt)
        else:
            put(client, attempt, f"key:{attempt.task}")
            expire_lease(client, attempt)

    with (
        master(connect),
        working(connect, "n1", outcome=die_first) as claimed,
        working(connect, "n2", outcome=die_first) as others,
    ):
        submit(connection, maps=2, reduces=0)
        wait_until(lambda: ended(connection))

    assert JobStore(connection).record(JOB).status == "ready"
    for task in (TaskId("map", 0), TaskId("map", 1)):
        assert len({attempt.node for attempt in claimed + others if attempt.task == task}) == 2
    assert any("gave no sign of life" in line for line in history(connection))
    assert JobStore(connection).oob_list(JOB) == []


def test_a_task_that_is_lost_too_often_ends_the_job(connect: Connect, connection: Connection) -> None:
    with master(connect), working(connect, "n1", outcome=expire_lease):
        submit(connection, maps=1, reduces=0, max_failures=0)
        wait_until(lambda: ended(connection))

    cause = JobStore(connection).record(JOB).cause
    assert cause is not None
    assert "worker n1.0 on node n1 was lost" in cause["message"]


def test_batches_of_a_dead_node_are_released_and_run_elsewhere(
    connect: Connect, connection: Connection
) -> None:
    # given a node that dies with a batch in its queue
    register(connection, "dead")
    with master(connect):
        submit(connection, maps=3, reduces=0)
        wait_until(lambda: len(queued(connection, "dead")) == 1)
        NodeStore(connection, "dead").drop_slots("dead.")

        # when another one comes
        with working(connect, "n1") as claimed:
            wait_until(lambda: ended(connection))

    # then
    assert [attempt.task for attempt in sorted(claimed, key=lambda one: one.task)] == [
        TaskId("map", index) for index in range(3)
    ]
    assert JobStore(connection).record(JOB).phase("map") == [0, 0, 3, 0]  # nothing counted as failed
    assert queued(connection, "dead") == []


def test_a_batch_whose_worker_died_before_its_claim_is_given_out_again(
    connect: Connect, connection: Connection
) -> None:
    register(connection, "n1")
    with master(connect):
        submit(connection, maps=1, reduces=0)
        wait_until(lambda: take(connection, "n1") is not None)
        with working(connect, "n1") as claimed:
            wait_until(lambda: ended(connection))

    assert [str(attempt) for attempt in claimed] == ["map:0/2"]
    assert JobStore(connection).record(JOB).phase("map") == [0, 0, 1, 0]


def test_a_batch_that_waits_long_in_its_queue_is_left_there(
    connect: Connect, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(connection, "n1")
    with master(connect) as one:
        submit(connection, maps=1, reduces=0)
        wait_until(lambda: len(queued(connection, "n1")) == 1)
        looks: list[None] = []
        look = one._term.caretaker.look

        def counted() -> bool:
            looks.append(None)
            return look()

        monkeypatch.setattr(one._term.caretaker, "look", counted)
        wait_until(lambda: len(looks) > 10)

    assert state_of(connection, "map:0") == "queued 1"
    assert len(queued(connection, "n1")) == 1


def test_batches_that_run_for_long_are_looked_up_once(
    connect: Connect, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[tuple[str, TaskId]]] = []
    states = ClusterStore.states

    def noted(
        store: ClusterStore, tasks: Sequence[tuple[str, TaskId]]
    ) -> list[tuple[TaskState | None, TaskState | None]]:
        asked.append(list(tasks))
        return states(store, tasks)

    # given batches that workers have claimed, and neither commit nor renew
    monkeypatch.setattr(caretaker, "QUEUE_PATIENCE_S", 1.0)
    monkeypatch.setattr(ClusterStore, "states", noted)
    register(connection, "n1", slots=3)
    with master(connect):
        submit(connection, maps=3, reduces=0)
        wait_until(lambda: len(queued(connection, "n1")) == 3)
        for slot in range(3):
            taken = take(connection, "n1")
            assert taken is not None
            job, batch, tasks = taken
            assert AttemptStore(connection).claim(job, batch, f"n1.{slot}", tasks) != [None]

        # when the master has looked for some time
        wait_until(lambda: any(asked))
        looks = len(asked)
        wait_until(lambda: len(asked) > looks + 5)

    # then it has asked for all of them at once, and never again
    assert [len(tasks) for tasks in asked if tasks] == [3]
    assert [state_of(connection, f"map:{i}") for i in range(3)] == ["running 1"] * 3


def test_a_rack_that_comes_is_not_counted_node_by_node(
    connect: Connect, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    with master(connect) as one:
        counts: list[None] = []
        count_nodes = one._term.caretaker.count_nodes

        def noted() -> None:
            counts.append(None)
            count_nodes()

        monkeypatch.setattr(one._term.caretaker, "count_nodes", noted)
        pipe = connection.redis.pipeline(transaction=True)
        for i in range(200):
            pipe.xadd(keys.CONTROL, {"k": "nodes", "n": f"n{i}"})
        pipe.execute()
        register(connection, "n1")
        submit(connection, maps=1, reduces=0)
        wait_until(lambda: len(queued(connection, "n1")) == 1)

    assert len(counts) < 100
