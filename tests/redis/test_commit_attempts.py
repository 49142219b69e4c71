"""commit_attempts.lua: the one moment at which attempts count, each all or nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from disco_rq.model import StageResult, TaskId
from disco_rq.store import keys
from disco_rq.store.attempts import Attempt, AttemptStore, Commit
from disco_rq.store.cluster import ClusterStore
from disco_rq.store.connection import Connection
from disco_rq.store.ending import Ending
from disco_rq.store.jobs import JobStore
from disco_rq.store.lead import Lead
from disco_rq.store.nodes import node_about
from disco_rq.store.taskstate import Lease
from tests.redis.story import (
    JOB,
    assign,
    commit,
    control_kinds,
    everything,
    expire_lease,
    fail,
    history,
    lead,
    put,
    race,
    staged_keys,
    started,
    state_of,
    submit,
)

MANY = 2**63 - 1


def test_a_commit_makes_everything_of_the_attempt_visible(connection: Connection) -> None:
    # given
    lead(connection)
    submit(connection, maps=2)
    attempt = started(connection, "map:0")
    put(connection, attempt, "total", "12")
    jobs = JobStore(connection)
    assert jobs.oob_list(JOB) == []

    # when
    assert commit(connection, attempt, counters={"lines": 5, "bad": -2}) == "ok"

    # then
    assert jobs.oob_get(JOB, "total") == "12"
    assert jobs.counters(JOB) == {"lines": 5, "bad": -2}
    assert jobs.outputs(JOB) == {TaskId("map", 0): "disco://n1/out"}
    record = jobs.record(JOB)
    assert record.phase("map") == [1, 0, 1, 0]
    assert [record.count(f"map:{what}") for what in ("entries", "records", "bytes")] == [3, 2, 10]
    told = jobs.attempts(JOB)[TaskId("map", 0), 1]
    assert (told["node"], told["worker"], told["outcome"]) == ("n1", "w1", "done")
    node = {"done": "1", "ms": "50", "records": "2", "bytes": "10", "done_under:100": "1"}
    assert node_about(connection, "n1") == node
    assert state_of(connection, "map:0") == "done 1"
    assert jobs.running() == []
    assert staged_keys(connection) == []
    assert connection.redis.hgetall(keys.JobKeys(JOB).quota) == {}


def test_a_commit_asked_again_is_ok_and_changes_nothing(connection: Connection) -> None:
    lead(connection)
    submit(connection)
    attempt = started(connection, "map:0")
    commit(connection, attempt, counters={"lines": 5})
    before = everything(connection)

    assert commit(connection, attempt, counters={"lines": 5}, address="disco://n1/other") == "ok"

    assert everything(connection) == before


def test_the_last_commit_asked_again_is_ok_though_the_job_has_ended(connection: Connection) -> None:
    lead(connection)
    submit(connection, maps=1, reduces=0)
    attempt = started(connection, "map:0")

    assert [commit(connection, attempt) for _ in range(2)] == ["ok", "ok"]

    assert control_kinds(connection) == ["submitted", "done", "ended"]


@pytest.mark.parametrize(
    "attempt",
    [
        Attempt(JOB, TaskId("map", 0), 1, "n1", "another worker"),
        Attempt(JOB, TaskId("map", 0), 2, "n1", "w1"),
        Attempt(JOB, TaskId("map", 1), 1, "n1", "w1"),  # never tried
        Attempt("nosuch@20260101-000000-zzzz", TaskId("map", 0), 1, "n1", "w1"),
    ],
    ids=str,
)
def test_an_attempt_that_is_not_the_workers_is_refused_whole(
    connection: Connection, attempt: Attempt
) -> None:
    lead(connection)
    submit(connection)
    put(connection, started(connection, "map:0"), "key")
    before = everything(connection)

    assert commit(connection, attempt, counters={"lines": 1}) == "overtaken"

    assert everything(connection) == before


def test_a_queued_attempt_cannot_be_committed(connection: Connection) -> None:
    lead(connection)
    submit(connection)
    assign(connection, [(TaskId("map", 0), 1)])
    before = everything(connection)

    assert commit(connection, Attempt(JOB, TaskId("map", 0), 1, "n1", "-")) == "overtaken"

    assert everything(connection) == before


def test_a_zombie_that_comes_back_late_changes_nothing(connection: Connection) -> None:
    # given a worker that was lost in its task, and another that has taken it over
    leads = lead(connection)
    submit(connection)
    zombie = started(connection, "map:0")
    put(connection, zombie, "zombie")
    expire_lease(connection, zombie)
    state = ClusterStore(connection).task_state(JOB, TaskId("map", 0))
    leads.end_attempt(Lease(JOB, TaskId("map", 0), 1), state, "lost", "lost", survives=3)
    second = started(connection, "map:0", 2, node="n2", worker="w2")
    before = everything(connection)

    # when it goes on
    said = [
        put(connection, zombie, "late", count=2),
        commit(connection, zombie, counters={"lines": 1}),
        fail(connection, zombie),
        AttemptStore(connection).claim(JOB, "map-0_1", "w1", [(TaskId("map", 0), 1)]),
    ]

    # then
    assert said == [3, "overtaken", "overtaken", [None]]
    assert everything(connection) == before
    assert commit(connection, second) == "ok"


def test_a_commit_to_a_dead_job_is_refused_whole(connection: Connection) -> None:
    lead(connection)
    submit(connection)
    attempt = started(connection, "map:0")
    put(connection, attempt, "key")
    Ending(connection).kill(JOB, "enough")
    before = everything(connection)

    assert commit(connection, attempt, counters={"lines": 1}) == "over"

    assert everything(connection) == before


def test_the_last_map_ends_the_phase_and_the_last_reduce_the_job(connection: Connection) -> None:
    lead(connection)
    submit(connection, maps=2, reduces=1)
    jobs = JobStore(connection)

    commit(connection, started(connection, "map:0"))
    assert "Map phase done" not in history(connection)
    commit(connection, started(connection, "map:1"))
    assert history(connection)[-1] == "Map phase done"
    assert jobs.record(JOB).status == "active"
    commit(connection, started(connection, "reduce:0"))

    assert jobs.record(JOB).status == "ready"
    assert history(connection)[-1] == "Job is ready"
    assert ClusterStore(connection).active_jobs() == set()
    assert control_kinds(connection) == ["submitted", "done", "done", "done", "ended"]


def test_a_job_of_maps_only_is_ready_after_the_last_map(connection: Connection) -> None:
    lead(connection)
    submit(connection, maps=1, reduces=0)

    commit(connection, started(connection, "map:0"))

    assert JobStore(connection).record(JOB).status == "ready"


def test_last_maps_that_commit_at_the_same_time_end_the_phase_once(
    connect: Callable[[], Connection],
) -> None:
    clients = [connect() for _ in range(4)]
    lead(clients[0])
    submit(clients[0], maps=4, reduces=0)
    attempts = [started(clients[0], f"map:{i}", worker=f"w{i}") for i in range(4)]

    said = race(clients, lambda client, n: commit(client, attempts[n], counters={"lines": 1}))

    assert said == ["ok"] * 4
    assert history(clients[0]).count("Map phase done") == 1
    assert control_kinds(clients[0]).count("ended") == 1
    assert JobStore(clients[0]).counters(JOB) == {"lines": 4}


def test_commit_and_failure_racing_for_an_attempt_leave_one_of_them(
    connect: Callable[[], Connection],
) -> None:
    """The master gives a lost attempt up at the moment at which its worker commits."""
    clients = [connect(), connect()]
    lead(clients[0])
    submit(clients[0], maps=30, reduces=0)
    leads, store = Lead(clients[1], "the-leader"), ClusterStore(clients[1])

    for i in range(30):
        attempt = started(clients[0], f"map:{i}")
        put(clients[0], attempt, f"key:{i}")
        expire_lease(clients[0], attempt)
        state = store.task_state(JOB, attempt.task)

        said = race(
            clients,
            lambda client, n, attempt=attempt, state=state: (  # type: ignore[misc]
                commit(client, attempt, counters={"lines": 1})
                if n == 0
                else leads.end_attempt(Lease(JOB, attempt.task, 1), state, "lost", "lost", survives=3)
            ),
        )

        assert said in (["ok", "overtaken"], ["overtaken", "retry"])
        committed = said[0] == "ok"
        assert state_of(clients[0], attempt.task) == ("done 1" if committed else "waiting 1")
        assert (f"key:{i}" in JobStore(clients[0]).oob_list(JOB)) is committed
        assert (attempt.task in JobStore(clients[0]).outputs(JOB)) is committed
    jobs = JobStore(clients[0])
    assert jobs.counters(JOB).get("lines", 0) == len(jobs.outputs(JOB)) == len(jobs.oob_list(JOB))
    assert staged_keys(clients[0]) == []


def test_a_counter_that_would_overflow_does_not_leave_the_commit_half_done(connection: Connection) -> None:
    # given a counter near the limit of what Redis counts
    lead(connection)
    submit(connection, maps=2, reduces=0)
    commit(connection, started(connection, "map:0"), counters={"huge": MANY})
    attempt = started(connection, "map:1")
    put(connection, attempt, "key")

    # when
    assert commit(connection, attempt, counters={"a": 1, "huge": 1, "z": 1}) == "ok"

    # then the rest counts, and the job tells what does not
    jobs = JobStore(connection)
    assert jobs.record(JOB).status == "ready"
    assert jobs.counters(JOB) == {"a": 1, "huge": MANY, "z": 1}
    assert jobs.oob_list(JOB) == ["key"]
    assert any("Counter huge" in line for line in history(connection))


def test_what_a_failover_has_lost_of_an_attempts_puts_is_not_committed_without_it(
    connection: Connection,
) -> None:
    # given one whose second put the server that answers now has never heard of
    lead(connection)
    submit(connection)
    attempt = started(connection, "map:0")
    put(connection, attempt, "kept")
    before = everything(connection)
    result = StageResult(entries_in=1, records_out=1, bytes_out=1)
    commit_of_two = Commit(attempt, "disco://n1/out", 1, result, puts=2)
    store = AttemptStore(connection)

    # then it is refused whole, and may be handed back
    assert store.commit([commit_of_two]) == ["incomplete"]
    assert everything(connection) == before
    assert store.commit([replace(commit_of_two, puts=1)]) == ["ok"]


def test_an_attempt_that_was_given_twice_is_known_by_its_worker(connection: Connection) -> None:
    lead(connection)
    submit(connection)
    attempt = started(connection, "map:0")
    store = AttemptStore(connection)

    assert not store.is_given_again(attempt)
    assert store.is_given_again(replace(attempt, worker="another"))
    assert not store.is_given_again(replace(attempt, worker="another", node="n2"))
    assert not store.is_given_again(replace(attempt, worker="another", number=2))
    assert not store.is_given_again(replace(attempt, task=TaskId("map", 7)))
