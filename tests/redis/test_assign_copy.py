"""assign_copy.lua, and the claim of a copy."""

from __future__ import annotations

import pytest

from disco_rq.model import TaskId
from disco_rq.store.attempts import Attempt, AttemptStore
from disco_rq.store.cluster import ClusterStore
from disco_rq.store.connection import Connection
from disco_rq.store.ending import Ending
from disco_rq.store.jobs import JobStore
from disco_rq.store.viewing import ViewStore
from tests.redis.story import (
    JOB,
    assign,
    assign_copy,
    commit,
    copied,
    copy_of,
    counts,
    everything,
    expire_lease,
    fail,
    history,
    leases,
    started,
    state_of,
)

STORED, EXISTS, NOT_OURS = 0, 1, 3


def test_a_copy_is_assigned_told_and_counted(connection: Connection, own: Attempt) -> None:
    assert assign_copy(connection, own) == 1

    assert (state_of(connection, "map:0"), copied(connection)) == ("running 1", "queued 2")
    assert history(connection)[-1] == "map:0 lags: a copy starts on n2"
    assert JobStore(connection).record(JOB).count("copies") == 1
    assert ViewStore(connection).totals() == {"copies": 1}
    assert counts(connection) == [2, 1, 0, 0]


def test_a_copy_that_is_assigned_again_after_a_lost_answer_is_the_same(
    connection: Connection, own: Attempt
) -> None:
    assign_copy(connection, own)
    before = everything(connection)

    assert assign_copy(connection, own) == 1

    assert everything(connection) == before


@pytest.mark.parametrize("number", [0, 1])
def test_a_copy_has_a_number_of_its_own(connection: Connection, own: Attempt, number: int) -> None:
    before = everything(connection)

    assert assign_copy(connection, own, number) == 0

    assert everything(connection) == before


def test_only_the_leader_assigns_a_copy(connection: Connection, own: Attempt) -> None:
    before = everything(connection)

    assert assign_copy(connection, own, token="a paused old one") == -1

    assert everything(connection) == before


@pytest.mark.parametrize("what", ["done", "waiting", "queued", "copied", "dead", "paused", "another"])
def test_what_does_not_run_alone_gets_no_copy(connection: Connection, own: Attempt, what: str) -> None:
    match what:
        case "done":
            commit(connection, own)
        case "waiting":
            fail(connection, own)
        case "queued":
            fail(connection, own)
            assign(connection, [(TaskId("map", 0), 2)])
        case "copied":
            assign_copy(connection, own, 2)
        case "dead":
            Ending(connection).kill(JOB, "enough")
        case "paused":
            JobStore(connection).set_paused(JOB, True)
        case "another":
            fail(connection, own)
            started(connection, "map:0", 2)
    before = everything(connection)

    assert assign_copy(connection, own, 3) == 0

    assert everything(connection) == before


def test_a_claimed_copy_lives_by_a_lease_and_its_task_still_counts_as_one(
    connection: Connection, own: Attempt
) -> None:
    copy = copy_of(connection, own)

    assert copied(connection) == "running 2"
    assert leases(connection) == ["map:0/1", "map:0/2"]
    assert counts(connection) == [2, 1, 0, 0]
    assert JobStore(connection).nodes(JOB) == ["n1", "n2"]
    for attempt in (own, copy):
        expire_lease(connection, attempt)
        tasks = [(attempt.task, attempt.number)]
        assert AttemptStore(connection).renew(attempt.node, attempt.worker, JOB, tasks) == set()
    assert ClusterStore(connection).expired_leases(10**12) == []


def test_a_copy_of_a_paused_job_is_not_claimed_and_its_task_runs_on(
    connection: Connection, own: Attempt
) -> None:
    assign_copy(connection, own)
    JobStore(connection).set_paused(JOB, True)

    assert AttemptStore(connection).claim(JOB, "copy-1", "w2", [(TaskId("map", 0), 2)]) == [None]

    assert (state_of(connection, "map:0"), copied(connection)) == ("running 1", "waiting 2")
    assert commit(connection, own) == "ok"
