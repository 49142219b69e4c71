"""unclaim_attempts.lua: what a worker has not begun of a batch is another's, with the same number."""

from __future__ import annotations

import pytest

from disco_rq.model import TaskId
from disco_rq.store.attempts import AttemptStore
from disco_rq.store.connection import Connection
from tests.redis.story import BATCH, JOB, assign, control_kinds, lead, state_of, submit

MAP, OTHER_MAP, REDUCE = TaskId("map", 0), TaskId("map", 1), TaskId("reduce", 0)
TASKS = [(MAP, 1), (OTHER_MAP, 1), (REDUCE, 1)]


@pytest.fixture
def store(connection: Connection) -> AttemptStore:
    """Of a job of which one batch has all, and of that the first map is claimed."""
    lead(connection)
    submit(connection)
    assert assign(connection, TASKS) == 3
    store = AttemptStore(connection)
    assert store.claim(JOB, BATCH, "w1", TASKS[:1]) != [None]
    return store


def test_what_is_not_claimed_waits_as_if_it_was_never_given(
    connection: Connection, store: AttemptStore
) -> None:
    store.unclaim(JOB, BATCH, TASKS)

    assert [state_of(connection, task).split()[:2] for task, _ in TASKS] == [
        ["running", "1"],
        ["waiting", "0"],
        ["waiting", "0"],
    ]
    assert control_kinds(connection)[-2:] == ["unclaimed", "unclaimed"]


def test_it_is_given_again_with_the_same_number_and_the_first_batch_has_lost_it(
    connection: Connection, store: AttemptStore
) -> None:
    store.unclaim(JOB, BATCH, TASKS)
    assert assign(connection, TASKS[1:], batch="batch-2", node="n2") == 2

    assert store.claim(JOB, BATCH, "w1", TASKS[1:]) == [None, None]
    assert None not in store.claim(JOB, "batch-2", "w2", TASKS[1:])


def test_asked_again_it_changes_nothing_that_was_given_to_others_since(
    connection: Connection, store: AttemptStore
) -> None:
    store.unclaim(JOB, BATCH, TASKS)
    assign(connection, TASKS[1:], batch="batch-2", node="n2")
    told = len(control_kinds(connection))

    store.unclaim(JOB, BATCH, TASKS)

    assert state_of(connection, OTHER_MAP).split()[:2] == ["queued", "1"]
    assert None not in store.claim(JOB, "batch-2", "w2", TASKS[1:])
    assert len(control_kinds(connection)) == told


def test_of_a_job_that_is_gone_nothing_is_written(connection: Connection, store: AttemptStore) -> None:
    told = len(control_kinds(connection))

    store.unclaim("gone@20260101-000000-aaaa", BATCH, TASKS)

    assert len(control_kinds(connection)) == told
