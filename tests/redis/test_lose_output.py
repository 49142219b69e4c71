"""lose_output.lua: a map is made again, and nothing of it counts twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from disco_rq.model import TaskId
from disco_rq.store import keys
from disco_rq.store.clock import server_ms
from disco_rq.store.cluster import ClusterStore
from disco_rq.store.connection import Connection
from disco_rq.store.ending import Ending
from disco_rq.store.jobs import JobStore
from disco_rq.store.nodes import node_about, say_good_bye
from tests.redis.story import (
    JOB,
    assign,
    commit,
    control_kinds,
    copy_of,
    everything,
    fail,
    lead,
    lose,
    put,
    race,
    reading,
    started,
    state_of,
    submit,
)

FIRST = "disco://n1/first"
SECOND = "disco://n2/second"
DIGESTS = b"aaaabbbb"


@pytest.fixture
def done(connection: Connection) -> Connection:
    """A job whose first map is committed, with an OOB result and a counter."""
    lead(connection)
    submit(connection, maps=2, reduces=2)
    attempt = started(connection, "map:0")
    put(connection, attempt, "key", "first")
    assert commit(connection, attempt, counters={"lines": 7}, address=FIRST, digests=DIGESTS) == "ok"
    reading(connection)
    return connection


def test_the_map_waits_again_and_its_output_is_forgotten(done: Connection) -> None:
    assert lose(done, FIRST) == "lost"

    assert state_of(done, "map:0") == "waiting 1"
    assert JobStore(done).outputs(JOB) == {}
    assert JobStore(done).record(JOB).phase("map") == [2, 0, 0, 1]
    assert control_kinds(done)[-1] == "lost"
    snapshot = ClusterStore(done).snapshot(JOB)
    assert snapshot is not None
    assert snapshot.failures[TaskId("map", 0)][0]["node"] == "n1"


def test_what_was_committed_stays_and_is_not_counted_again_where_the_output_is_the_same(
    done: Connection,
) -> None:
    before: dict[str, Any] = JobStore(done).record(JOB).fields
    lose(done, FIRST)
    assert JobStore(done).oob_get(JOB, "key") == "first"

    again = started(done, "map:0", 2, node="n2")
    assert put(done, again, "key", "second") == 0
    assert put(done, again, "key", "third", 2) == 1  # a second put within the attempt is an error as ever
    assert put(done, again, "unknown", "x", 2) == 0
    assert commit(done, again, counters={"lines": 8}, address=SECOND, digests=DIGESTS) == "ok"

    jobs = JobStore(done)
    assert jobs.outputs(JOB) == {TaskId("map", 0): SECOND}
    assert jobs.oob_list(JOB) == ["key"]
    assert jobs.oob_get(JOB, "key") == "first"
    assert jobs.counters(JOB) == {"lines": 7}
    for field in ("map:entries", "map:records", "map:bytes", "map:done"):
        assert jobs.record(JOB).fields[field] == before[field]
    other = started(done, "map:1")
    assert put(done, other, "unknown", "y") == 0  # the key that came to nothing is free


def test_a_failed_attempt_to_make_it_again_keeps_what_was_committed(done: Connection) -> None:
    lose(done, FIRST)
    again = started(done, "map:0", 2)
    put(done, again, "key", "second")

    assert fail(done, again) == "retry"

    assert JobStore(done).oob_get(JOB, "key") == "first"
    assert put(done, started(done, "map:1"), "key") == 1


def test_an_output_that_does_not_count_any_more_is_not_lost_again(done: Connection) -> None:
    lose(done, FIRST)
    commit(done, started(done, "map:0", 2), address=SECOND)
    before = everything(done)

    assert lose(done, FIRST) == "kept"

    assert everything(done) == before


def test_two_reduces_lose_one_output_once(done: Connection, connect: Callable[[], Connection]) -> None:
    answers = race([connect() for _ in range(4)], lambda client, _: lose(client, FIRST))

    assert sorted(answers) == ["kept", "kept", "kept", "lost"]


def test_an_output_that_is_lost_too_often_ends_the_job(done: Connection) -> None:
    assert lose(done, FIRST, survives=1) == "lost"
    commit(done, started(done, "map:0", 2), address=FIRST)

    assert lose(done, FIRST, survives=1) == "dead"

    record = JobStore(done).record(JOB)
    assert record.status == "dead"
    assert record.cause is not None
    assert record.cause["task"] == "map:0"
    assert "gone" in record.cause["message"]
    assert done.redis.smembers(keys.ACTIVE) == set()


def test_an_output_of_a_node_that_said_good_bye_is_made_again_uncounted(done: Connection) -> None:
    done.redis.hset(keys.node("n1"), "seen", server_ms(done))
    done.redis.sadd(keys.NODES, "n1")
    say_good_bye(done, "n1")

    assert lose(done, FIRST, survives=0) == "lost"

    assert state_of(done, "map:0") == "waiting 1"
    record = JobStore(done).record(JOB)
    assert (record.status, record.phase("map")) == ("active", [2, 0, 0, 0])
    assert control_kinds(done)[-1] == "lost"
    events: Any = done.redis.xrange(keys.JobKeys(JOB).events)
    assert events[-1][1][b"m"].startswith(b"Output of map:0 on n1, which has left, is gone: ")


def test_a_node_that_has_come_back_counts_again(done: Connection) -> None:
    done.redis.sadd(keys.NODES, "n1")
    say_good_bye(done, "n1")
    done.redis.hset(keys.node("n1"), "seen", server_ms(done) + 1)

    assert lose(done, FIRST, survives=0) == "dead"


def test_a_job_that_has_ended_loses_nothing(done: Connection) -> None:
    Ending(done).kill(JOB, "why")
    before = everything(done)

    assert lose(done, FIRST) == "kept"

    assert everything(done) == before


# -- who may say so


def test_an_attempt_that_does_not_count_any_more_loses_no_output(done: Connection) -> None:
    zombie = reading(done)
    fail(done, zombie)
    current = started(done, "reduce:0", 2, node="n2", worker="w2")
    before = everything(done)

    assert lose(done, FIRST, reader=zombie) == "kept"
    assert lose(done, FIRST, reader=replace(current, worker="w1")) == "kept"
    assert lose(done, FIRST, reader=replace(current, number=99)) == "kept"

    assert everything(done) == before
    assert lose(done, FIRST, reader=current) == "lost"


def test_an_attempt_that_is_queued_or_committed_loses_no_output(done: Connection) -> None:
    reader = reading(done)
    commit(done, started(done, "map:1"))
    assert assign(done, [(TaskId("reduce", 1), 1)]) == 1
    assert commit(done, reader) == "ok"
    before = everything(done)

    assert lose(done, FIRST, reader=reader) == "kept"
    assert lose(done, FIRST, reader=replace(reader, task=TaskId("reduce", 1), worker="-")) == "kept"

    assert everything(done) == before


def test_a_copy_loses_no_output_but_its_own_chance(done: Connection) -> None:
    first = reading(done)
    copy = copy_of(done, first, node="n2")
    before = everything(done)

    assert lose(done, FIRST, reader=copy) == "copy"

    assert everything(done) == before
    assert fail(done, copy, survives=0) == "retry"
    assert node_about(done, "n2")["data_error"] == "1"
    assert lose(done, FIRST, reader=first) == "lost"


def test_a_copy_that_has_become_the_task_s_own_attempt_may_say_so(done: Connection) -> None:
    first = reading(done)
    copy = copy_of(done, first, node="n2")
    fail(done, first)

    assert lose(done, FIRST, reader=copy) == "lost"
