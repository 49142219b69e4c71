"""commit_attempts.lua of a map that is made again and comes back different: two answers never mix."""

from __future__ import annotations

import pytest

from disco_rq.model import StageResult, TaskId
from disco_rq.store import keys
from disco_rq.store.attempts import Attempt, AttemptStore, Commit
from disco_rq.store.connection import Connection
from disco_rq.store.jobs import JobStore
from tests.redis.story import (
    JOB,
    commit,
    control_kinds,
    everything,
    fail,
    history,
    lead,
    lose,
    reading,
    started,
    state_of,
    submit,
)

FIRST = b"aaaabbbbcccc"
OTHER_IN_1 = b"aaaaXXXXcccc"


@pytest.fixture
def mapped(connection: Connection) -> Connection:
    """A job of two maps, both done, and three reduces, of which the first one runs."""
    lead(connection)
    submit(connection, maps=2, reduces=3)
    for task in ("map:0", "map:1"):
        assert commit(connection, started(connection, task), digests=FIRST) == "ok"
    reading(connection)
    return connection


def made_again(connection: Connection, digests: bytes, number: int = 2) -> str:
    """map:0 loses its output and is made again."""
    assert lose(connection) == "lost"
    return commit(connection, started(connection, "map:0", number), digests=digests)


def done(connection: Connection, task: str, number: int = 1, changes_seen: int = 0) -> str:
    attempt = reading(connection) if task == "reduce:0" else started(connection, task, number)
    return commit(connection, attempt, changes_seen=changes_seen)


def seen(connection: Connection, partition: int) -> int:
    return AttemptStore(connection).map_outputs(JOB, partition)[1]


def test_a_map_that_comes_back_the_same_costs_nothing(mapped: Connection) -> None:
    done(mapped, "reduce:1")

    assert made_again(mapped, FIRST) == "ok"

    assert [seen(mapped, partition) for partition in range(3)] == [0, 0, 0]
    assert done(mapped, "reduce:0") == "ok"
    assert done(mapped, "reduce:2") == "ok"
    assert JobStore(mapped).record(JOB).status == "ready"


def test_one_that_differs_where_a_reduce_has_read_it_ends_the_job(mapped: Connection) -> None:
    done(mapped, "reduce:1")

    assert made_again(mapped, OTHER_IN_1) == "over"

    record = JobStore(mapped).record(JOB)
    assert record.status == "dead"
    assert record.cause is not None
    assert "map:0 is not deterministic" in record.cause["message"]
    assert "partition 1, which reduce:1 has read" in record.cause["message"]
    assert (record.cause["task"], record.cause["attempt"], record.cause["node"]) == ("map:0", 2, "n1")
    assert control_kinds(mapped)[-1] == "ended"
    assert TaskId("map", 0) not in JobStore(mapped).outputs(JOB)
    assert history(mapped)[-1].startswith("Job is dead. map:0 is not deterministic")


def test_one_that_differs_where_nobody_has_read_it_does_no_harm(mapped: Connection) -> None:
    done(mapped, "reduce:2")

    assert made_again(mapped, OTHER_IN_1) == "ok"

    assert [seen(mapped, partition) for partition in range(3)] == [0, 1, 0]
    assert any("map:0 came back different, in partition 1" in line for line in history(mapped))
    assert done(mapped, "reduce:0") == "ok"
    assert done(mapped, "reduce:1", changes_seen=1) == "ok"
    assert JobStore(mapped).record(JOB).status == "ready"


def test_a_reduce_that_has_read_the_first_output_does_not_count_any_more(mapped: Connection) -> None:
    late = started(mapped, "reduce:1")
    made_again(mapped, OTHER_IN_1)
    before = everything(mapped)

    assert commit(mapped, late, changes_seen=0) == "stale"

    assert everything(mapped) == before
    assert fail(mapped, late, "release") == "retry"
    assert state_of(mapped, "reduce:1") == "waiting 1"
    assert done(mapped, "reduce:1", 2, changes_seen=1) == "ok"


def test_what_counts_is_the_output_that_was_read_last(mapped: Connection) -> None:
    made_again(mapped, OTHER_IN_1)
    done(mapped, "reduce:1", changes_seen=1)

    assert made_again(mapped, OTHER_IN_1, number=3) == "ok"
    assert made_again(mapped, FIRST, number=4) == "over"


def test_a_commit_whose_answer_was_lost_is_ok_again(mapped: Connection) -> None:
    lose(mapped)
    again = started(mapped, "map:0", 2)
    assert commit(mapped, again, digests=OTHER_IN_1) == "ok"
    before = everything(mapped)

    assert commit(mapped, again, digests=OTHER_IN_1) == "ok"

    assert everything(mapped) == before


def test_of_a_batch_with_one_that_differs_nothing_counts(mapped: Connection) -> None:
    lose(mapped)
    lose(mapped, task="map:1")
    again: list[Attempt] = [started(mapped, task, 2) for task in ("map:1", "map:0")]
    done(mapped, "reduce:1")
    commits = [
        Commit(attempt, "disco://n1/out", 1, StageResult(1, 1, 1, digests=digests))
        for attempt, digests in zip(again, (FIRST, OTHER_IN_1), strict=True)
    ]

    assert AttemptStore(mapped).commit(commits) == ["over", "over"]

    assert JobStore(mapped).outputs(JOB).keys() == {TaskId("reduce", 1)}
    assert "Map phase done" not in history(mapped)[-2:]


def test_a_map_without_digests_is_not_compared(mapped: Connection) -> None:
    mapped.redis.delete(keys.JobKeys(JOB).digests)  # of an older version
    done(mapped, "reduce:1")

    assert made_again(mapped, OTHER_IN_1) == "ok"
