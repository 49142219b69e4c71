"""Bad entries in Redis: counted with the commit of their task, once, never beyond what the job may have."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from disco_rq.model import StageResult
from disco_rq.store.attempts import Attempt, AttemptStore, Commit, Failure
from disco_rq.store.badentries import BadTask, BadTasks, Causes, is_too_much, too_many_text
from disco_rq.store.connection import Connection
from disco_rq.store.jobs import JobStore
from tests.redis.story import JOB, copy_of, fail, history, lead, lose, put, race, started, submit


def left_out(nr_bad: int, nr_read: int = 100, error: str = "ValueError: no") -> str:
    causes = Causes()
    for number in range(nr_bad):
        causes.add(error, "/file", number)
    return json.dumps({"n": nr_bad, "of": nr_read, "causes": causes.pack()})


def commit(
    connection: Connection, attempt: Attempt, nr_bad: int, nr_read: int = 100, *, puts: int = 0, **more: Any
) -> str:
    result = StageResult(nr_read, 2, 10, left_out=left_out(nr_bad, nr_read, **more))
    told = Commit(attempt, f"disco://{attempt.node}/out", 50, result, puts=puts)
    return AttemptStore(connection).commit([told])[0]


def bad(connection: Connection) -> int:
    return JobStore(connection).record(JOB).count("bad")


def cause(connection: Connection) -> str:
    record = JobStore(connection).record(JOB)
    assert record.status == "dead"
    return str((record.cause or {})["message"])


@pytest.fixture
def job(connection: Connection) -> Connection:
    lead(connection)
    submit(connection, maps=4, reduces=1, max_bad=10)
    return connection


def test_a_commit_counts_its_bad_entries_once_however_often_it_is_asked(job: Connection) -> None:
    attempt = started(job, "map:0")

    assert [commit(job, attempt, 3), commit(job, attempt, 3)] == ["ok", "ok"]

    assert bad(job) == 3
    assert BadTasks(job).of(JOB) == [BadTask("map:0", 3, "n1", 1)]
    assert history(job)[-1] == "map:0 has left out 3 bad entries, such as ValueError: no"


def test_of_a_task_and_its_copy_one_counts(job: Connection) -> None:
    attempt = started(job, "map:0")
    copy = copy_of(job, attempt)

    assert [commit(job, copy, 3), commit(job, attempt, 3)] == ["ok", "overtaken"]

    assert BadTasks(job).of(JOB) == [BadTask("map:0", 3, "n2", 2)]
    assert bad(job) == 3


@pytest.mark.parametrize("again", [3, 5, 0])
def test_a_map_that_is_made_again_replaces_what_it_had_left_out(job: Connection, again: int) -> None:
    for index in range(4):
        commit(job, started(job, f"map:{index}"), 3 if index == 0 else 1)
    assert lose(job) == "lost"
    assert [one.task for one in BadTasks(job).of(JOB)] == ["map:1", "map:2", "map:3"]

    commit(job, started(job, "map:0", 2, node="n3"), again)

    assert bad(job) == again + 3
    others = [BadTask(f"map:{index}", 1, "n1", 1) for index in (1, 2, 3)]
    assert BadTasks(job).of(JOB) == ([BadTask("map:0", again, "n3", 2)] if again else []) + others


def test_a_failed_attempt_counts_nothing(job: Connection) -> None:
    fail(job, started(job, "map:0"))

    assert bad(job) == 0
    commit(job, started(job, "map:0", 2), 2)
    assert bad(job) == 2


def test_one_more_than_allowed_ends_the_job_with_the_commit_that_brings_it(job: Connection) -> None:
    assert commit(job, started(job, "map:0"), 10) == "ok"
    assert JobStore(job).record(JOB).status == "active"

    assert commit(job, started(job, "map:1"), 1, error="KeyError: 'a'") == "ok"

    places = "/file, byte 0; /file, byte 1; /file, byte 2; …"
    assert cause(job) == (
        "BadEntryError: too many bad entries: 11, more than max_bad=10 allows: "
        f"10 times, such as ValueError: no ({places}); once KeyError: 'a' (/file, byte 0)"
    )
    assert [one.nr_bad for one in BadTasks(job).of(JOB)] == [10, 1]


def test_maps_that_commit_at_once_are_counted_exactly(
    job: Connection, connect: Callable[[], Connection]
) -> None:
    attempts = [started(job, f"map:{index}", worker=f"w{index}") for index in range(4)]

    race([connect() for _ in range(4)], lambda connection, index: commit(connection, attempts[index], 4))

    assert "too many bad entries: 12, more than max_bad=10 allows" in cause(job)


def test_an_attempt_that_is_far_beyond_ends_the_job_with_what_it_has_left_out(job: Connection) -> None:
    commit(job, started(job, "map:0"), 4)
    attempt = started(job, "map:1")
    assert AttemptStore(job).bad_elsewhere(attempt) == 4

    failure = Failure("BadEntryError: own words", left_out=left_out(7))
    assert AttemptStore(job).fail(attempt, "fatal", failure, survives=0) == "dead"

    assert "too many bad entries: 11, more than max_bad=10 allows: 11 times" in cause(job)
    assert BadTasks(job).of(JOB)[1] == BadTask("map:1", 7, "n1", 1)
    assert bad(job) == 11


@pytest.mark.parametrize(
    ("commits", "is_dead"),
    [
        ([(50, 100), (0, 100), (0, 300), (0, 0)], False),  # many at first, a tenth at the end
        ([(50, 100), (0, 100), (0, 299), (0, 0)], True),
        ([(600, 1000)], False),  # three like it, all good, would do
        ([(1000, 1000)], True),  # nothing helps
    ],
)
def test_a_fraction_is_judged_when_the_maps_are_done_or_it_is_hopeless(
    connection: Connection, commits: list[tuple[int, int]], is_dead: bool
) -> None:
    lead(connection)
    submit(connection, maps=4, reduces=1, max_bad=0.1 if commits[0][0] < 1000 else 0.01)

    for index, (nr_bad, nr_read) in enumerate(commits):
        commit(connection, started(connection, f"map:{index}"), nr_bad, nr_read)

    assert (JobStore(connection).record(JOB).status == "dead") == is_dead
    nr_bad, nr_read = map(sum, zip(*commits, strict=True))
    max_bad = 0.1 if commits[0][0] < 1000 else 0.01
    assert is_too_much(nr_bad, nr_read, max_bad, done=len(commits), nr_maps=4) == is_dead


def test_the_script_writes_the_words_of_the_store(connection: Connection) -> None:
    lead(connection)
    submit(connection, maps=1, reduces=0, max_bad=0.25)
    causes = Causes()
    for number in range(40):
        for kind in range(number % 8):
            causes.add(f"Error{'abcdefgh'[kind]}: no number '{number}'", "/file", number)
    packed = causes.pack()
    nr_bad = sum(n for _, _, n, _ in packed)
    told = json.dumps({"n": nr_bad, "of": 200, "causes": packed})

    result = StageResult(1, 2, 10, left_out=told)
    AttemptStore(connection).commit([Commit(started(connection, "map:0"), "disco://n1/out", 50, result)])

    assert cause(connection) == "BadEntryError: " + too_many_text(nr_bad, 200, 0.25, causes)


def test_what_was_taken_back_may_be_put_by_others(job: Connection) -> None:
    attempt, other = started(job, "map:0"), started(job, "map:1")
    for count, key in enumerate(["a", "b"], 1):
        put(job, attempt, key, count=count)

    for _ in range(2):  # the answer to the first time may be lost
        AttemptStore(job).take_back(attempt, ["b"])

    assert put(job, other, "b") == 0
    assert put(job, other, "a", count=2) == 1
    assert [commit(job, attempt, 1, puts=1), commit(job, other, 0, puts=1)] == ["ok", "ok"]
    assert JobStore(job).oob_list(JOB) == ["a", "b"]


def test_what_is_still_there_although_it_was_taken_back_does_not_count(job: Connection) -> None:
    """A failover may have lost that it was."""
    attempt = started(job, "map:0")
    put(job, attempt, "a")

    assert commit(job, attempt, 1, puts=0) == "incomplete"


def test_causes_are_some_however_many_messages_there_are() -> None:
    causes = Causes()
    for number in range(1000):
        causes.add(f"ValueError: {chr(0x4E00 + number)} at {number}", "/file", 0)

    packed = causes.pack()

    assert len(packed) == 21
    assert sum(n for _, _, n, _ in packed) == 1000
