"""What the scripts do while a task has two live attempts: one counts, once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from disco_rq.model import TaskId
from disco_rq.store import keys
from disco_rq.store.attempts import Attempt, AttemptStore, FailureKind
from disco_rq.store.cluster import ClusterStore, TaskEvent
from disco_rq.store.connection import Connection
from disco_rq.store.ending import Ending
from disco_rq.store.jobs import JobStore
from disco_rq.store.nodes import node_about
from disco_rq.store.viewing import ViewStore
from tests.redis.story import (
    JOB,
    assign_copy,
    commit,
    control_kinds,
    copied,
    copy_of,
    counts,
    everything,
    expire_lease,
    fail,
    failures_of,
    lead,
    leases,
    lose,
    put,
    race,
    staged_keys,
    started,
    state_of,
    submit,
)

STORED, EXISTS, NOT_OURS = 0, 1, 3


# -- the first commit counts


@pytest.mark.parametrize("first", ["own", "copy"])
def test_the_first_commit_counts_and_nothing_stays_of_the_other(
    connection: Connection, own: Attempt, first: str
) -> None:
    # given both have put and neither knows of the other
    copy = copy_of(connection, own)
    for attempt in (own, copy):
        assert put(connection, attempt, "key", f"by {attempt.number}") == STORED
        assert put(connection, attempt, f"only-{attempt.number}", count=2) == STORED
    winner, loser = (own, copy) if first == "own" else (copy, own)

    # when
    said = [
        commit(connection, attempt, counters={"lines": 1}, address=f"disco://{attempt.node}/out")
        for attempt in (winner, loser)
    ]

    # then
    assert said == ["ok", "overtaken"]
    jobs = JobStore(connection)
    assert (jobs.oob_list(JOB), jobs.oob_get(JOB, "key")) == (
        sorted(["key", f"only-{winner.number}"]),
        f"by {winner.number}",
    )
    assert jobs.counters(JOB) == {"lines": 1}
    assert jobs.outputs(JOB) == {TaskId("map", 0): f"disco://{winner.node}/out"}
    assert counts(connection) == [2, 0, 1, 0]
    assert (leases(connection), staged_keys(connection)) == ([], [])
    assert connection.redis.hgetall(keys.JobKeys(JOB).quota) == {}
    told = {one["attempt"]: one for one in jobs.story(JOB, TaskId("map", 0))}
    assert told[winner.number]["outcome"] == "done"
    over = told[loser.number]
    assert (over["outcome"], over["node"], over["worker"]) == ("overtaken", loser.node, loser.worker)
    assert 0 < over["started"] <= over["ended"]
    assert node_about(connection, loser.node).keys().isdisjoint({"done", "data_error", "lost"})
    assert control_kinds(connection).count("done") == 1


def test_what_only_the_loser_put_is_free_for_others(connection: Connection, own: Attempt) -> None:
    copy = copy_of(connection, own)
    put(connection, copy, "by-chance")
    other = started(connection, "map:1", worker="w3")
    assert put(connection, other, "by-chance") == EXISTS

    commit(connection, own)

    assert put(connection, other, "by-chance") == STORED


@pytest.mark.parametrize("winner", [1, 2])
def test_the_loser_can_do_nothing_any_more(connection: Connection, own: Attempt, winner: int) -> None:
    attempts = {1: own, 2: copy_of(connection, own)}
    commit(connection, attempts[winner])
    loser = attempts[3 - winner]
    before = everything(connection)

    said = [
        put(connection, loser, "late"),
        commit(connection, loser, counters={"lines": 1}),
        *(fail(connection, loser, kind) for kind in ("data", "fatal", "release")),
        AttemptStore(connection).claim(JOB, "any", loser.worker, [(TaskId("map", 0), loser.number)]),
    ]

    assert said == [NOT_OURS, "overtaken", "overtaken", "overtaken", "overtaken", [None]]
    assert everything(connection) == before
    tasks = [(TaskId("map", 0), loser.number)]
    assert AttemptStore(connection).renew(loser.node, loser.worker, JOB, tasks) == {TaskId("map", 0)}


def test_a_copy_that_nobody_claimed_is_refused_after_the_commit(connection: Connection, own: Attempt) -> None:
    assign_copy(connection, own)
    commit(connection, own)

    assert AttemptStore(connection).claim(JOB, "copy-1", "w2", [(TaskId("map", 0), 2)]) == [None]

    assert [one["outcome"] for one in JobStore(connection).story(JOB, TaskId("map", 0))] == [
        "done",
        "release",
    ]


def test_both_committing_at_the_same_time_leave_one(connect: Callable[[], Connection]) -> None:
    clients = [connect(), connect()]
    lead(clients[0])
    submit(clients[0], maps=30, reduces=0)
    for i in range(30):
        own = started(clients[0], f"map:{i}")
        both = [own, copy_of(clients[0], own)]
        for attempt in both:
            put(clients[0], attempt, f"key:{i}", str(attempt.number))

        said = race(
            clients,
            lambda client, n, both=both: commit(client, both[n], counters={"lines": 1}),  # type: ignore[misc]
        )

        assert sorted(said) == ["ok", "overtaken"]
        assert JobStore(clients[0]).oob_get(JOB, f"key:{i}") == str(said.index("ok") + 1)
    jobs = JobStore(clients[0])
    assert jobs.counters(JOB) == {"lines": 30}
    assert jobs.record(JOB).phase("map") == [0, 0, 30, 0]
    assert (jobs.record(JOB).status, control_kinds(clients[0]).count("ended")) == ("ready", 1)


# -- failures


@pytest.mark.parametrize("kind", ["data", "error", "release", "refuse"])
@pytest.mark.parametrize("claimed", [True, False])
def test_a_task_that_fails_goes_on_as_its_copy(
    connection: Connection, own: Attempt, kind: FailureKind, claimed: bool
) -> None:
    copy = Attempt(JOB, TaskId("map", 0), 2, "n2", "w2")
    assert copy_of(connection, own) == copy if claimed else assign_copy(connection, own) == 1
    put(connection, own, "key", "by 1")
    if claimed:
        put(connection, copy, "key", "by 2")

    assert fail(connection, own, kind) == "retry"

    assert state_of(connection, "map:0") == ("running 2" if claimed else "queued 2")
    assert copied(connection) == ""
    failed = int(kind in ("data", "error"))
    assert counts(connection) == ([2, 1, 0, failed] if claimed else [3, 0, 0, failed])
    if not claimed:
        AttemptStore(connection).claim(JOB, "copy-1", "w2", [(TaskId("map", 0), 2)])
        assert put(connection, copy, "key", "by 2") == STORED
    assert commit(connection, copy) == "ok"
    assert JobStore(connection).oob_get(JOB, "key") == "by 2"
    assert counts(connection) == [2, 0, 1, failed]


@pytest.mark.parametrize("kind", ["data", "error", "release", "refuse"])
def test_a_copy_that_fails_leaves_its_task_running(
    connection: Connection, own: Attempt, kind: FailureKind
) -> None:
    # given
    copy = copy_of(connection, own)
    put(connection, own, "key", "by 1")
    put(connection, copy, "key", "by 2")
    put(connection, copy, "more", count=2)

    # when it fails, then even a job that survives no failure goes on: without copies it would have
    assert fail(connection, copy, kind, survives=0) == "retry"
    assert (state_of(connection, "map:0"), copied(connection)) == ("running 1", "waiting 2")
    assert control_kinds(connection)[-1] == ("refused" if kind == "refuse" else "failed")
    assert leases(connection) == ["map:0/1"]
    assert put(connection, started(connection, "map:1", worker="w3"), "more") == STORED

    # and the number is not used again
    assert assign_copy(connection, own, 2) == 0
    assert assign_copy(connection, own, 3) == 1
    assert commit(connection, own) == "ok"
    assert JobStore(connection).oob_get(JOB, "key") == "by 1"


def test_failures_of_copies_do_not_use_up_what_the_task_survives(
    connection: Connection, own: Attempt
) -> None:
    for number in (2, 3, 4):
        fail(connection, copy_of(connection, own, number), survives=1)

    assert fail(connection, own, survives=1) == "retry"

    assert state_of(connection, "map:0") == "waiting 4"
    failures = failures_of(connection, "map:0")
    assert [failure["kind"] for failure in failures] == ["copy", "copy", "copy", "data"]


@pytest.mark.parametrize("which", ["own", "copy"])
def test_an_err_of_either_ends_the_job(connection: Connection, own: Attempt, which: str) -> None:
    copy = copy_of(connection, own)

    assert fail(connection, own if which == "own" else copy, "fatal", message="no use") == "dead"

    cause = JobStore(connection).record(JOB).cause
    assert cause is not None
    assert cause["message"] == "no use"
    assert commit(connection, copy if which == "own" else own) in ("over", "overtaken")


def test_commit_and_failure_of_the_two_racing_leave_the_commit(connect: Callable[[], Connection]) -> None:
    clients = [connect(), connect()]
    lead(clients[0])
    submit(clients[0], maps=40, reduces=0)
    for i in range(40):
        own = started(clients[0], f"map:{i}")
        copy = copy_of(clients[0], own)
        good, bad = (own, copy) if i % 2 else (copy, own)
        for attempt in (good, bad):
            put(clients[0], attempt, f"key:{i}", str(attempt.number))

        said = race(
            clients,
            lambda client, n, good=good, bad=bad: (  # type: ignore[misc]
                fail(client, bad) if n else commit(client, good, counters={"lines": 1})
            ),
        )

        assert said[0] == "ok"
        assert said[1] in ("retry", "overtaken")
        assert state_of(clients[0], own.task) == f"done {good.number}"
        assert JobStore(clients[0]).oob_get(JOB, f"key:{i}") == str(good.number)
    jobs = JobStore(clients[0])
    assert jobs.counters(JOB) == {"lines": 40}
    assert jobs.record(JOB).phase("map")[:3] == [0, 0, 40]
    assert (leases(clients[0]), staged_keys(clients[0])) == ([], [])


def test_both_failing_at_the_same_time_let_the_task_wait(connect: Callable[[], Connection]) -> None:
    clients = [connect(), connect()]
    lead(clients[0])
    submit(clients[0], maps=20, reduces=0)
    for i in range(20):
        own = started(clients[0], f"map:{i}")
        both = [own, copy_of(clients[0], own)]
        for attempt in both:
            put(clients[0], attempt, f"key:{i}")

        assert race(clients, lambda client, n, both=both: fail(client, both[n])) == ["retry"] * 2  # type: ignore[misc]

        assert state_of(clients[0], own.task) == "waiting 2"
    assert JobStore(clients[0]).record(JOB).phase("map") == [20, 0, 0, 40]
    assert connection_has_no_owner(clients[0])


def connection_has_no_owner(connection: Connection) -> bool:
    return not connection.redis.exists(keys.JobKeys(JOB).oob_owners)


@pytest.mark.parametrize("which", ["own", "copy"])
def test_the_lease_of_either_may_run_out(connection: Connection, own: Attempt, which: str) -> None:
    store = ClusterStore(connection)
    copy = copy_of(connection, own)
    lost, other = (own, copy) if which == "own" else (copy, own)
    expire_lease(connection, lost)
    [(lease, _)] = store.expired_leases(1000)
    state = store.task_state(JOB, lease.task, lease.attempt)
    assert state is not None
    assert state.worker == lost.worker

    survives = 0 if which == "copy" else 3
    assert lead(connection).end_attempt(lease, state, "lost", "lost", survives=survives) == "retry"

    assert node_about(connection, lost.node) == {"lost": "1"}
    assert commit(connection, other) == "ok"


# -- the output that counted, and the end


def test_an_output_that_is_lost_is_made_again_under_a_new_number(
    connection: Connection, own: Attempt
) -> None:
    copy = copy_of(connection, own)
    put(connection, own, "key", "first")
    put(connection, copy, "chance")
    commit(connection, own, counters={"lines": 1}, address="disco://n1/first", digests=b"aaaa")

    assert lose(connection, "disco://n1/first") == "lost"

    assert (state_of(connection, "map:0"), copied(connection)) == ("waiting 2", "")
    event = ClusterStore(connection).read_control("0-0", 1)[1][-1]
    assert event == TaskEvent("lost", JOB, TaskId("map", 0), 1, "n1")  # the one that was committed
    again = started(connection, "map:0", 3)
    copy_again = copy_of(connection, again, 4, node="n3", worker="w3")
    for attempt in (again, copy_again):
        assert put(connection, attempt, "key", "again") == STORED
    assert commit(connection, copy_again, counters={"lines": 1}, digests=b"aaaa") == "ok"
    assert JobStore(connection).oob_get(JOB, "key") == "first"
    assert JobStore(connection).counters(JOB) == {"lines": 1}


def test_after_forget_nothing_of_a_copy_is_left(connection: Connection, own: Attempt) -> None:
    put(connection, copy_of(connection, own), "key")
    Ending(connection).kill(JOB, "why")

    Ending(connection).forget(JOB)

    assert not [key for key in everything(connection) if JOB in key]
    assert leases(connection) == []


def test_a_snapshot_has_the_copies_and_how_long_tasks_took(connection: Connection, own: Attempt) -> None:
    commit(connection, started(connection, "map:1", worker="w3"), duration_ms=250)
    copy_of(connection, own)

    snapshot = ClusterStore(connection).snapshot(JOB)

    assert snapshot is not None
    assert snapshot.copies[TaskId("map", 0)].attempt == 2
    assert snapshot.durations_s == {TaskId("map", 1): 0.25}


def test_a_slot_that_runs_a_copy_is_busy(connection: Connection, own: Attempt) -> None:
    for node, worker in (("n1", "w1"), ("n2", "w2")):
        AttemptStore(connection).renew(node, worker)
    copy_of(connection, own)

    shown = {node.name: node.slots[0].held for node in ViewStore(connection).cluster().nodes}

    first = TaskId("map", 0)
    assert {name: held.first_task for name, held in shown.items() if held} == {"n1": first, "n2": first}
