"""commit_attempts.lua of a map that comes back different: its whole answer is replaced, or the job ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from disco_rq.model import TaskId
from disco_rq.store import keys
from disco_rq.store.attempts import Attempt, AttemptStore
from disco_rq.store.connection import Connection
from disco_rq.store.jobs import JobStore
from disco_rq.worker.services import TaskServices
from tests.redis.story import (
    JOB,
    commit,
    copy_of,
    everything,
    fail,
    history,
    lead,
    lose,
    put,
    reading,
    started,
    state_of,
    submit,
)

FIRST = b"aaaabbbb"
OTHER = b"aaaaXXXX"
STORED, EXISTS = 0, 1


@pytest.fixture
def mapped(connection: Connection) -> Connection:
    """A job of two maps and two reduces. The first map has put two results and counted two things."""
    lead(connection)
    submit(connection, maps=2, reduces=2)
    first = started(connection, "map:0")
    put(connection, first, "both", "first")
    put(connection, first, "once", "first", 2)
    AttemptStore(connection).put(first, "kind", b"j[1]", 3)
    assert commit(connection, first, digests=FIRST, counters={"lines": 7, "odd": 1}) == "ok"
    other = started(connection, "map:1")
    assert commit(connection, other, digests=FIRST, counters={"lines": 1}, duration_ms=20) == "ok"
    return connection


def again(connection: Connection, number: int = 2) -> Attempt:
    """The output of map:0 is lost, and its next attempt has put one result of the first, and a new one."""
    assert lose(connection) == "lost"
    attempt = started(connection, "map:0", number, node="n2")
    assert put(connection, attempt, "both", "second") == STORED
    assert put(connection, attempt, "new", "second", 2) == STORED
    assert put(connection, attempt, "kind", "text", 3) == STORED
    return attempt


def comes_back(connection: Connection, attempt: Attempt, digests: bytes = OTHER) -> str:
    return commit(
        connection,
        attempt,
        digests=digests,
        counters={"lines": 5, "even": -2},
        records=9,
        duration_ms=70,
        address="disco://n1/out",
    )


def oob(connection: Connection) -> dict[str, Any]:
    jobs = JobStore(connection)
    return {key: jobs.oob_get(JOB, key) for key in jobs.oob_list(JOB)}


def figures(connection: Connection) -> list[int]:
    fields = JobStore(connection).record(JOB).fields
    return [int(fields[f"map:{what}"]) for what in ("entries", "records", "bytes", "ms", "done")]


def test_of_a_map_that_comes_back_different_only_the_second_answer_is_left(mapped: Connection) -> None:
    assert comes_back(mapped, again(mapped)) == "ok"

    assert oob(mapped) == {"both": "second", "new": "second", "kind": "text"}
    assert JobStore(mapped).counters(JOB) == {"lines": 6, "even": -2}
    assert figures(mapped) == [6, 9 + 2, 20, 70 + 20, 2]
    assert any("map:0 came back with other OOB results" in line for line in history(mapped))


def test_of_one_that_comes_back_the_same_only_the_first_answer_is_left(mapped: Connection) -> None:
    before = oob(mapped), JobStore(mapped).counters(JOB), figures(mapped)

    assert comes_back(mapped, again(mapped), digests=FIRST) == "ok"

    assert (oob(mapped), JobStore(mapped).counters(JOB), figures(mapped)) == before


@pytest.mark.parametrize("digests", [FIRST, OTHER])
def test_the_keys_that_it_does_not_put_any_more_are_free_and_no_others(
    mapped: Connection, digests: bytes
) -> None:
    assert comes_back(mapped, again(mapped), digests) == "ok"

    owners: Any = mapped.redis.hkeys(keys.JobKeys(JOB).oob_owners)
    assert {key.decode() for key in owners} == set(oob(mapped))


def test_it_may_be_replaced_time_and_again(mapped: Connection) -> None:
    comes_back(mapped, again(mapped))

    assert comes_back(mapped, again(mapped, 3), digests=b"YYYYbbbb") == "ok"

    assert JobStore(mapped).counters(JOB) == {"lines": 6, "even": -2}
    assert figures(mapped) == [6, 9 + 2, 20, 70 + 20, 2]


def test_the_answer_that_counts_is_taken_back_however_often_it_was_made_again(mapped: Connection) -> None:
    comes_back(mapped, again(mapped), digests=FIRST)

    assert comes_back(mapped, again(mapped, 3)) == "ok"

    assert JobStore(mapped).counters(JOB) == {"lines": 6, "even": -2}
    assert figures(mapped) == [6, 9 + 2, 20, 70 + 20, 2]


def test_one_that_puts_and_counts_nothing_any_more_leaves_nothing(mapped: Connection) -> None:
    lose(mapped)

    assert commit(mapped, started(mapped, "map:0", 2), digests=OTHER) == "ok"
    lose(mapped)
    assert commit(mapped, started(mapped, "map:0", 3), digests=FIRST) == "ok"

    assert oob(mapped) == {}
    assert JobStore(mapped).counters(JOB) == {"lines": 1}
    assert mapped.redis.hgetall(keys.JobKeys(JOB).oob_types) == {}


def test_nobody_can_tell_of_a_job_with_one_reduce_so_all_is_replaced(connection: Connection) -> None:
    lead(connection)
    submit(connection, maps=1, reduces=1)
    first = started(connection, "map:0")
    put(connection, first, "key", "first")
    commit(connection, first, counters={"lines": 7})
    lose(connection)
    second = started(connection, "map:0", 2)
    put(connection, second, "key", "second")

    assert commit(connection, second, counters={"lines": 7}) == "ok"

    assert oob(connection) == {"key": "second"}
    assert JobStore(connection).counters(JOB) == {"lines": 7}


def test_what_an_older_version_committed_stays(mapped: Connection) -> None:
    record = json.dumps({"entries": 3, "records": 2, "bytes": 10, "started": 0, "ended": 50})
    mapped.redis.hset(keys.JobKeys(JOB).attempts, "map:0/1", record)
    mapped.redis.delete(keys.JobKeys(JOB).given)
    before = oob(mapped), JobStore(mapped).counters(JOB), figures(mapped)

    assert comes_back(mapped, again(mapped)) == "ok"

    assert (oob(mapped), JobStore(mapped).counters(JOB), figures(mapped)) == before


def test_a_commit_whose_answer_was_lost_replaces_nothing_twice(mapped: Connection) -> None:
    attempt = again(mapped)
    assert comes_back(mapped, attempt) == "ok"
    before = everything(mapped)

    assert comes_back(mapped, attempt) == "ok"

    assert everything(mapped) == before


def test_an_attempt_that_dies_before_its_commit_leaves_the_first_answer(mapped: Connection) -> None:
    before = oob(mapped), JobStore(mapped).counters(JOB)
    attempt = again(mapped)

    assert fail(mapped, attempt) == "retry"

    assert (oob(mapped), JobStore(mapped).counters(JOB)) == before
    third = started(mapped, "map:0", 3)
    assert put(mapped, third, "new", "third") == STORED
    assert comes_back(mapped, third) == "ok"
    assert oob(mapped) == {"new": "third"}


def test_of_two_attempts_to_make_it_again_one_replaces_it(mapped: Connection) -> None:
    attempt = again(mapped)
    copy = copy_of(mapped, attempt, 3, node="n3", worker="w3")
    put(mapped, copy, "both", "copy")
    put(mapped, copy, "once", "copy", 2)

    assert comes_back(mapped, copy) == "ok"
    assert comes_back(mapped, attempt) == "overtaken"

    assert oob(mapped) == {"both": "copy", "once": "copy"}
    assert JobStore(mapped).counters(JOB) == {"lines": 6, "even": -2}
    assert put(mapped, started(mapped, "reduce:1"), "new") == STORED


# -- who has read OOB results of the first answer


def read(
    connection: Connection, task: str = "reduce:1", key: str = "both", number: int = 1
) -> Callable[..., str]:
    """A reduce reads an OOB result. Returns what commits it."""
    attempt = started(connection, task, number)
    services = TaskServices(connection, AttemptStore(connection), attempt)
    with suppress(KeyError):
        services.get(key, "map")
    return lambda **more: commit(connection, attempt, oob_changes_seen=services.oob_changes_seen, **more)


def test_where_a_reduce_is_done_that_has_read_oob_results_the_job_ends(mapped: Connection) -> None:
    assert read(mapped)() == "ok"
    attempt = again(mapped)
    before = oob(mapped), JobStore(mapped).counters(JOB)

    assert comes_back(mapped, attempt, digests=b"XXXXbbbb") == "over"

    record = JobStore(mapped).record(JOB)
    assert record.cause is not None
    assert "map:0 is not deterministic" in record.cause["message"]
    assert "its OOB result " in record.cause["message"]
    assert "reduce:1 has read such results before" in record.cause["message"]
    assert (oob(mapped), JobStore(mapped).counters(JOB)) == before


@pytest.mark.parametrize("key", ["both", "new"])
def test_a_reduce_that_has_read_them_and_runs_reads_again(mapped: Connection, key: str) -> None:
    commit_it = read(mapped, key=key)  # "new": it has seen that there is none

    assert comes_back(mapped, again(mapped)) == "ok"

    assert commit_it(changes_seen=1) == "stale"
    fail(mapped, Attempt(JOB, TaskId("reduce", 1), 1, "n1", "w1"), "release")
    assert state_of(mapped, "reduce:1") == "waiting 1"
    assert read(mapped, number=2)(changes_seen=1) == "ok"


def test_a_reduce_that_has_read_none_stands(mapped: Connection) -> None:
    late = started(mapped, "reduce:1")

    assert comes_back(mapped, again(mapped), digests=b"XXXXbbbb") == "ok"

    assert commit(mapped, late) == "ok"


def test_one_that_puts_the_same_as_before_harms_no_reader(mapped: Connection) -> None:
    assert read(mapped)() == "ok"
    lose(mapped)
    attempt = started(mapped, "map:0", 2)
    put(mapped, attempt, "both", "first")
    put(mapped, attempt, "once", "first", 2)
    AttemptStore(mapped).put(attempt, "kind", b"j[1]", 3)

    assert comes_back(mapped, attempt, digests=b"XXXXbbbb") == "ok"

    assert oob(mapped) == {"both": "first", "once": "first", "kind": [1]}
    assert commit(mapped, reading(mapped), changes_seen=1) == "ok"


def test_what_its_worker_has_found_stands_in_the_cause(mapped: Connection) -> None:
    commit(mapped, started(mapped, "reduce:1"))
    attempt = again(mapped)

    assert commit(mapped, attempt, digests=OTHER, difference=": first at the key 'a'") == "over"

    cause = JobStore(mapped).record(JOB).cause
    assert cause is not None
    assert "which reduce:1 has read before: first at the key 'a'. Let it" in cause["message"]
