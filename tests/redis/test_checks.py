"""commit_attempts.lua and fail_attempt.lua, of the check of a map: what it ends, and what it leaves alone."""

from __future__ import annotations

from typing import Any

import pytest

from disco_rq.model import StageResult
from disco_rq.planning.sample import sample_bits
from disco_rq.store import keys
from disco_rq.store.attempts import AttemptStore, Commit
from disco_rq.store.connection import Connection
from disco_rq.store.jobs import JobStore
from tests.redis.story import JOB, commit, everything, fail, history, lead, put, started, submit

SAME, OTHER = b"aaaabbbb", b"aaaacccc"


def checked_job(connection: Connection, *, maps: int = 1, reduces: int = 2) -> None:
    """A job whose maps are all checked, and done."""
    lead(connection)
    submit(connection, maps, reduces, check=1, details={"check": sample_bits(maps, 1)})
    for index in range(maps):
        attempt = started(connection, f"map:{index}")
        put(connection, attempt, f"key:{index}", count=1)
        answer(connection, attempt, SAME, puts=1)


def answer(connection: Connection, attempt: Any, digests: bytes, **more: Any) -> str:
    result = StageResult(3, 3, 30, counters=more.pop("counters", {}), digests=digests)
    address = "" if attempt.task.phase == "check" else "disco://n1/out"
    [told] = AttemptStore(connection).commit([Commit(attempt, address, 10, result, **more)])
    return told


def status(connection: Connection) -> str:
    return JobStore(connection).record(JOB).status


def test_the_job_is_ready_when_its_last_check_is_done(connection: Connection) -> None:
    checked_job(connection, maps=2, reduces=1)
    commit(connection, started(connection, "reduce:0"))
    assert answer(connection, started(connection, "check:0"), SAME) == "ok"
    assert status(connection) == "active"

    assert answer(connection, started(connection, "check:1"), SAME) == "ok"

    assert status(connection) == "ready"
    assert history(connection)[-1] == "Job is ready"


def test_the_job_is_ready_with_its_last_reduce_where_checks_were_before(connection: Connection) -> None:
    checked_job(connection, reduces=1)
    answer(connection, started(connection, "check:0"), SAME)
    assert status(connection) == "active"

    commit(connection, started(connection, "reduce:0"))

    assert status(connection) == "ready"


def test_a_check_leaves_no_output_no_digest_and_no_figures(connection: Connection) -> None:
    checked_job(connection)
    job = keys.JobKeys(JOB)
    kept = (job.outputs, job.digests, job.oob, job.counters, job.partitions, job.given)
    before = {key: everything(connection).get(key) for key in kept}
    record = JobStore(connection).record(JOB)

    answer(connection, started(connection, "check:0"), SAME, counters={"n": 5})

    assert {key: everything(connection).get(key) for key in kept} == before
    now = JobStore(connection).record(JOB)
    figures = [field for field in record.fields if field.startswith(("map:", "reduce:"))]
    assert [now.fields[field] for field in figures] == [record.fields[field] for field in figures]
    assert now.phase("check") == [0, 0, 1, 0]


def test_a_difference_ends_the_job_and_says_which_map_and_where(connection: Connection) -> None:
    checked_job(connection)

    told = answer(
        connection, started(connection, "check:0", node="n2"), OTHER, difference=", first at the key 'k'"
    )

    assert told == "over"
    cause = JobStore(connection).record(JOB).cause
    assert cause is not None
    assert cause["message"].startswith(
        "map:0 is not deterministic: run a second time, on n2, it differs in partition 1, first at the key 'k"
    )
    assert (cause["task"], cause["node"]) == ("check:0", "n2")


def test_a_lost_answer_is_given_again(connection: Connection) -> None:
    checked_job(connection, reduces=1)
    attempt = started(connection, "check:0")

    assert [answer(connection, attempt, SAME) for _ in range(2)] == ["ok", "ok"]
    assert JobStore(connection).record(JOB).phase("check") == [0, 0, 1, 0]


def test_a_zombie_of_a_check_changes_nothing(connection: Connection) -> None:
    checked_job(connection)
    zombie = started(connection, "check:0")
    fail(connection, zombie, "data")
    started(connection, "check:0", 2)
    before = everything(connection)

    assert answer(connection, zombie, OTHER) == "overtaken"
    assert everything(connection) == before


def test_a_map_that_came_back_different_is_what_is_compared_with(connection: Connection) -> None:
    """As long as nobody has read the first output, the second one counts."""
    checked_job(connection)
    job = keys.JobKeys(JOB)
    connection.redis.hset(job.digests, "map:0", OTHER)

    assert answer(connection, started(connection, "check:0"), OTHER) == "ok"


@pytest.mark.parametrize("is_last", [True, False])
def test_a_check_that_fails_too_often_is_given_up_and_told(connection: Connection, is_last: bool) -> None:
    checked_job(connection, reduces=1)
    if is_last:
        commit(connection, started(connection, "reduce:0"))

    fail(connection, started(connection, "check:0"), "data", survives=1, message="no such file")
    assert JobStore(connection).record(JOB).phase("check")[0] == 1
    fail(connection, started(connection, "check:0", 2), "data", survives=1, message="no such file")

    record = JobStore(connection).record(JOB)
    assert (record.phase("check"), record.count("unchecked")) == ([0, 0, 1, 2], 1)
    assert record.status == ("ready" if is_last else "active")
    line = "map:0 is not checked: its second run failed 2 times, at last of no such file"
    assert line in history(connection)


@pytest.mark.parametrize("kind", ["error", "fatal"])
def test_a_check_that_raises_shows_that_the_map_is_not_deterministic(
    connection: Connection, kind: Any
) -> None:
    checked_job(connection)

    fail(connection, started(connection, "check:0"), kind, survives=0, message="ValueError: x")

    cause = JobStore(connection).record(JOB).cause
    assert cause is not None
    assert (
        cause["message"] == "map:0 is not deterministic: run a second time, on n1, it failed: ValueError: x"
    )


def test_a_released_check_counts_no_failure(connection: Connection) -> None:
    checked_job(connection)

    fail(connection, started(connection, "check:0"), "release")

    assert JobStore(connection).record(JOB).phase("check") == [1, 0, 0, 0]
    assert status(connection) == "active"
