"""What the maps have written for one reduce: nothing is known to be nothing, or is not said."""

from __future__ import annotations

import pytest

from disco_rq.attempt.stored import InputsMissing, StoredFeed
from disco_rq.model import JobSpec, StageResult, TaskId
from disco_rq.packing import JobSeal
from disco_rq.store import keys
from disco_rq.store.attempts import AttemptStore, Commit
from disco_rq.store.connection import Connection
from tests.redis.story import JOB, lead, started, submit


def commit(connection: Connection, task: str, sizes: dict[int, int]) -> None:
    result = StageResult(entries_in=1, records_out=1, bytes_out=1, partition_bytes=sizes)
    attempt = started(connection, task)
    assert AttemptStore(connection).commit(
        [Commit(attempt, f"disco://n1/{JOB}/{task.replace(':', '-')}.1", 1, result)]
    ) == ["ok"]


def feed(connection: Connection, partition: int) -> StoredFeed:
    spec = JobSpec(JOB, 2, 3, has_map=True, has_reduce=True)
    return StoredFeed(AttemptStore(connection), spec, TaskId("reduce", partition), JobSeal(JOB, None))


def test_a_reduce_for_which_no_map_has_written_knows_it(connection: Connection) -> None:
    lead(connection)
    submit(connection, maps=2, reduces=3)
    commit(connection, "map:0", {1: 10})
    with pytest.raises(InputsMissing):
        feed(connection, 0).is_empty()
    commit(connection, "map:1", {1: 5, 2: 1})
    assert [feed(connection, partition).is_empty() for partition in range(3)] == [True, False, False]


def test_where_a_map_was_made_again_nothing_is_said_of_sizes(connection: Connection) -> None:
    lead(connection)
    submit(connection, maps=2, reduces=3)
    commit(connection, "map:0", {})
    commit(connection, "map:1", {})
    connection.redis.sadd(keys.JobKeys(JOB).remade, "map:0")
    assert not feed(connection, 0).is_empty()


def test_a_change_that_comes_after_the_first_look_is_not_taken_for_seen(connection: Connection) -> None:
    lead(connection)
    submit(connection, maps=2, reduces=3)
    commit(connection, "map:0", {})
    commit(connection, "map:1", {})
    reads = feed(connection, 0)
    assert reads.is_empty()
    connection.redis.hset(keys.JobKeys(JOB).digests, "changed 0", "1")
    reads.map_outputs()  # the job's function asks for this_inputs()
    assert reads.changes_seen == 0
