"""lose_output.lua: a map is made again, and nothing of it counts twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from disco_rq.store import keys
from disco_rq.store.attempts import AttemptStore, Failure
from disco_rq.store.cluster import ClusterStore
from disco_rq.store.connection import Connection
from disco_rq.store.ending import Ending
from disco_rq.store.jobs import JobStore
from tests.redis.story import (
    JOB,
    commit,
    control_kinds,
    everything,
    fail,
    lead,
    put,
    race,
    started,
    state_of,
    submit,
)

FIRST = "disco://n1/first"
SECOND = "disco://n2/second"


def lose(connection: Connection, address: str = FIRST, survives: int = 3) -> str:
    return AttemptStore(connection).lose_output(JOB, "map:0", address, Failure("gone"), survives=survives)


@pytest.fixture
def done(connection: Connection) -> Connection:
    """A job whose first map is committed, with an OOB result and a counter."""
    lead(connection)
    submit(connection, maps=2)
    attempt = started(connection, "map:0")
    put(connection, attempt, "key", "first")
    assert commit(connection, attempt, counters={"lines": 7}, address=FIRST) == "ok"
    return connection


def test_the_map_waits_again_and_its_output_is_forgotten(done: Connection) -> None:
    assert lose(done) == "lost"

    assert state_of(done, "map:0") == "waiting 1"
    assert JobStore(done).outputs(JOB) == {}
    assert JobStore(done).record(JOB).phase("map") == [2, 0, 0, 1]
    assert control_kinds(done)[-1] == "lost"
    assert ClusterStore(done).snapshot(JOB).failures["map:0"][0]["node"] == "n1"  # type: ignore[union-attr]


def test_what_was_committed_stays_and_is_not_counted_again(done: Connection) -> None:
    before: dict[str, Any] = JobStore(done).record(JOB).fields
    lose(done)
    assert JobStore(done).oob_get(JOB, "key") == "first"

    again = started(done, "map:0", 2, node="n2")
    assert put(done, again, "key", "second") == 0
    assert put(done, again, "key", "third", 2) == 1  # a second put within the attempt is an error as ever
    assert put(done, again, "unknown", "x", 2) == 0
    assert commit(done, again, counters={"lines": 7}, address=SECOND) == "ok"

    jobs = JobStore(done)
    assert jobs.outputs(JOB) == {"map:0": SECOND}
    assert jobs.oob_list(JOB) == ["key"]
    assert jobs.oob_get(JOB, "key") == "first"
    assert jobs.counters(JOB) == {"lines": 7}
    for field in ("map:entries", "map:records", "map:bytes", "map:done"):
        assert jobs.record(JOB).fields[field] == before[field]
    other = started(done, "map:1")
    assert put(done, other, "unknown", "y") == 0  # the key that came to nothing is free


def test_a_failed_attempt_to_make_it_again_keeps_what_was_committed(done: Connection) -> None:
    lose(done)
    again = started(done, "map:0", 2)
    put(done, again, "key", "second")

    assert fail(done, again) == "retry"

    assert JobStore(done).oob_get(JOB, "key") == "first"
    assert put(done, started(done, "map:1"), "key") == 1


def test_an_output_that_does_not_count_any_more_is_not_lost_again(done: Connection) -> None:
    lose(done)
    commit(done, started(done, "map:0", 2), address=SECOND)
    before = everything(done)

    assert lose(done, FIRST) == "kept"

    assert everything(done) == before


def test_two_reduces_lose_one_output_once(done: Connection, connect: Callable[[], Connection]) -> None:
    answers = race([connect() for _ in range(4)], lambda client, _: lose(client))

    assert sorted(answers) == ["kept", "kept", "kept", "lost"]


def test_an_output_that_is_lost_too_often_ends_the_job(done: Connection) -> None:
    assert lose(done, survives=0) == "dead"

    record = JobStore(done).record(JOB)
    assert record.status == "dead"
    assert record.cause is not None
    assert record.cause["task"] == "map:0"
    assert "gone" in record.cause["message"]
    assert done.redis.smembers(keys.ACTIVE) == set()


def test_a_job_that_has_ended_loses_nothing(done: Connection) -> None:
    Ending(done).kill(JOB, "why")
    before = everything(done)

    assert lose(done) == "kept"

    assert everything(done) == before
