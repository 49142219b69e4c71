"""fail_attempt.lua and kill_job.lua: nothing of an attempt stays; its task waits again, or the job ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from disco_rq.client.facts import describe_death
from disco_rq.model import TaskId
from disco_rq.store import keys
from disco_rq.store.attempts import Attempt, AttemptStore, Failure, FailureKind
from disco_rq.store.cluster import ClusterStore
from disco_rq.store.connection import Connection
from disco_rq.store.deaths import death_text, failure_text
from disco_rq.store.ending import Ending
from disco_rq.store.jobs import JobStore
from disco_rq.store.lead import Lead
from disco_rq.store.nodes import node_about
from disco_rq.store.taskstate import Lease
from tests.redis.story import (
    JOB,
    TOKEN,
    assign,
    commit,
    control_kinds,
    everything,
    expire_lease,
    fail,
    failures_of,
    history,
    lead,
    put,
    race,
    staged_keys,
    started,
    state_of,
    submit,
)


def end_attempt(connection: Connection, kind: FailureKind, *, token: str = TOKEN, survives: int = 3) -> str:
    """The master's word on map:0/1."""
    state = ClusterStore(connection).task_state(JOB, TaskId("map", 0))
    lost = Lease(JOB, TaskId("map", 0), 1)
    return Lead(connection, token).end_attempt(lost, state, kind, "it was lost", survives=survives)


@pytest.mark.parametrize("kind", ["data", "error", "release", "fatal"])
def test_nothing_of_a_failed_attempt_stays(connection: Connection, kind: FailureKind) -> None:
    # given
    lead(connection)
    submit(connection)
    attempt = started(connection, "map:0")
    for i in range(3):
        put(connection, attempt, f"key:{i}", count=i + 1)

    # when
    fail(connection, attempt, kind)

    # then
    job = keys.JobKeys(JOB)
    assert staged_keys(connection) == []
    assert connection.redis.hgetall(job.oob_owners) == {}
    assert connection.redis.hgetall(job.quota) == {}
    assert JobStore(connection).running() == []
    assert JobStore(connection).oob_list(JOB) == []
    assert state_of(connection, "map:0") == "waiting 1"


def test_a_data_error_is_told_counted_and_kept(connection: Connection) -> None:
    lead(connection)
    submit(connection)

    assert (
        fail(connection, started(connection, "map:0"), "data", message="DataError: no such file") == "retry"
    )

    assert JobStore(connection).record(JOB).phase("map") == [2, 0, 0, 1]
    assert history(connection)[-1] == "Task map:0 failed (attempt 1 on n1): DataError: no such file"
    failures = failures_of(connection, "map:0")
    assert [(failure["node"], failure["kind"], failure["attempt"]) for failure in failures] == [
        ("n1", "data", 1)
    ]
    told = JobStore(connection).attempts(JOB)[TaskId("map", 0), 1]
    assert (told["node"], told["outcome"], told["error"]) == ("n1", "data", "DataError: no such file")
    assert told["started"] <= told["ended"]
    assert node_about(connection, "n1") == {"data_error": "1"}
    assert control_kinds(connection) == ["submitted", "failed"]


def test_a_release_counts_nothing(connection: Connection) -> None:
    lead(connection)
    submit(connection)

    assert fail(connection, started(connection, "map:0"), "release", survives=0) == "retry"

    assert JobStore(connection).record(JOB).phase("map") == [2, 0, 0, 0]
    assert failures_of(connection, "map:0") == []
    assert node_about(connection, "n1") == {}
    assert control_kinds(connection) == ["submitted", "failed"]


def test_a_failure_asked_again_after_a_lost_answer_counts_once(connection: Connection) -> None:
    lead(connection)
    submit(connection)
    attempt = started(connection, "map:0")
    fail(connection, attempt)
    before = everything(connection)

    assert fail(connection, attempt) == "overtaken"

    assert everything(connection) == before


def test_the_fourth_failure_of_its_kind_ends_the_job_with_the_causes(connection: Connection) -> None:
    # given three data errors, and other failures that are counted elsewhere
    lead(connection)
    submit(connection)
    kinds: list[FailureKind] = ["data", "error", "data", "release", "data"]
    for number, kind in enumerate(kinds, 1):
        assert fail(connection, started(connection, "map:0", number), kind, survives=3) == "retry"

    # when
    last = started(connection, "map:0", 6, node="n2")
    assert fail(connection, last, "data", survives=3, message="DataError: the fourth") == "dead"

    # then
    record = JobStore(connection).record(JOB)
    assert record.status == "dead"
    cause = record.cause
    assert cause is not None
    assert (cause["task"], cause["attempt"], cause["node"]) == ("map:0", 6, "n2")
    assert cause["message"] == "DataError: the fourth"
    assert [failure["attempt"] for failure in cause["failures"]] == [1, 2, 3, 5, 6]
    assert ClusterStore(connection).active_jobs() == set()
    assert control_kinds(connection)[-1] == "ended"
    assert history(connection)[-1].startswith("Job is dead. Task map:0 failed (attempt 6 on n2)")


def test_an_error_is_fatal_unless_the_job_asked_for_retries(connection: Connection) -> None:
    lead(connection)
    submit(connection)

    assert fail(connection, started(connection, "map:0"), "error", survives=1) == "retry"
    assert fail(connection, started(connection, "map:0", 2), "error", survives=1) == "dead"


def test_a_second_fatal_failure_leaves_the_first_cause(connection: Connection) -> None:
    lead(connection)
    submit(connection)
    first, second = started(connection, "map:0"), started(connection, "map:1")
    fail(connection, first, "fatal", message="the first")

    assert fail(connection, second, "fatal", message="the second") == "over"

    cause = JobStore(connection).record(JOB).cause
    assert cause is not None
    assert cause["message"] == "the first"
    assert control_kinds(connection).count("ended") == 1
    assert JobStore(connection).attempts(JOB)[TaskId("map", 1), 1]["outcome"] == "killed"
    assert JobStore(connection).running() == []


def test_of_racing_fatal_failures_one_is_the_cause(connect: Callable[[], Connection]) -> None:
    clients = [connect() for _ in range(4)]
    lead(clients[0])
    submit(clients[0], maps=4)
    attempts = [started(clients[0], f"map:{i}", worker=f"w{i}") for i in range(4)]

    said = race(clients, lambda client, n: fail(client, attempts[n], "fatal", message=f"number {n}"))

    assert sorted(said) == ["dead", "over", "over", "over"]
    cause = JobStore(clients[0]).record(JOB).cause
    assert cause is not None
    assert cause["message"] == f"number {said.index('dead')}"


@pytest.mark.parametrize(
    "attempt",
    [
        Attempt(JOB, TaskId("map", 0), 1, "n1", "another worker"),
        Attempt(JOB, TaskId("map", 0), 2, "n1", "w1"),
        Attempt(JOB, TaskId("map", 1), 1, "n1", "w1"),
        Attempt("nosuch@20260101-000000-zzzz", TaskId("map", 0), 1, "n1", "w1"),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["data", "fatal", "release"])
def test_an_attempt_that_is_not_the_workers_is_left_alone(
    connection: Connection, attempt: Attempt, kind: FailureKind
) -> None:
    lead(connection)
    submit(connection)
    put(connection, started(connection, "map:0"), "key")
    before = everything(connection)

    assert fail(connection, attempt, kind) == "overtaken"

    assert everything(connection) == before


def test_a_committed_attempt_cannot_fail_any_more(connection: Connection) -> None:
    lead(connection)
    submit(connection)
    attempt = started(connection, "map:0")
    commit(connection, attempt)
    before = everything(connection)

    assert fail(connection, attempt, "fatal") == "overtaken"
    assert end_attempt(connection, "lost") == "overtaken"

    assert everything(connection) == before


# -- the master's word


def test_a_lost_attempt_fails_only_when_its_lease_has_run_out(connection: Connection) -> None:
    # given
    lead(connection)
    submit(connection)
    attempt = started(connection, "map:0")
    before = everything(connection)

    # when the worker has renewed it meanwhile
    assert end_attempt(connection, "lost") == "alive"
    assert everything(connection) == before

    # when it has not
    expire_lease(connection, attempt)
    assert end_attempt(connection, "lost") == "retry"
    assert failures_of(connection, "map:0")[0]["kind"] == "data"
    assert node_about(connection, "n1") == {"lost": "1"}


@pytest.mark.parametrize("kind", ["lost", "release", "fatal"])
def test_only_the_leader_has_a_word_on_attempts_of_others(connection: Connection, kind: FailureKind) -> None:
    lead(connection)
    submit(connection)
    expire_lease(connection, started(connection, "map:0"))
    before = everything(connection)

    assert end_attempt(connection, kind, token="a paused old one") == "notleader"

    assert everything(connection) == before


def test_what_is_queued_is_released_and_what_was_claimed_meanwhile_is_not(connection: Connection) -> None:
    """The master sees a task in the queue, and a worker claims it before the master releases it."""
    leads, store = lead(connection), ClusterStore(connection)
    submit(connection)
    assign(connection, [(TaskId("map", 0), 1), (TaskId("map", 1), 1)])
    seen = store.task_state(JOB, TaskId("map", 0))
    AttemptStore(connection).claim(JOB, "batch-1", "w1", [(TaskId("map", 0), 1)])
    before = everything(connection)

    claimed = Lease(JOB, TaskId("map", 0), 1)
    assert leads.end_attempt(claimed, seen, "release", "lost on the way") == "overtaken"
    assert everything(connection) == before

    queued = store.task_state(JOB, TaskId("map", 1))
    assert leads.end_attempt(Lease(JOB, TaskId("map", 1), 1), queued, "release", "…") == "retry"
    assert state_of(connection, "map:1") == "waiting 1"
    assert JobStore(connection).record(JOB).phase("map") == [1, 1, 0, 0]


# -- messages of any kind


@pytest.mark.parametrize(
    "message",
    [
        "bad line '\udce9\udc80'",  # from a text read with surrogateescape
        "half a pair \ud83d",
        "x" + "é" * 2000,  # cut in the middle of a character
        "日本語" * 1000,
        'quotes " and \\ and \x00 and \x7f',
        "",
    ],
    ids=["surrogateescape", "half pair", "2 bytes", "3 bytes", "control", "empty"],
)
@pytest.mark.parametrize("kind", ["data", "fatal"])
def test_a_failure_with_any_text_can_be_told_and_read_again(
    connection: Connection, message: str, kind: FailureKind
) -> None:
    # given
    lead(connection)
    store = ClusterStore(connection)
    submit(connection)

    # when
    failure = Failure(message, traceback=f"Traceback\n{message}", url=f"file:///{message}")
    answer = AttemptStore(connection).fail(started(connection, "map:0"), kind, failure, survives=3)

    # then
    assert answer == ("retry" if kind == "data" else "dead")
    assert control_kinds(connection)[-1] == ("failed" if kind == "data" else "ended")
    failures = failures_of(connection, "map:0")
    assert failures[0]["message"][:10] == _readable(message)[:10]
    assert JobStore(connection).attempts(JOB)[TaskId("map", 0), 1]["error"] == _readable(message)
    assert history(connection)[-1].endswith(_readable(message))
    if kind == "data":
        snapshot = store.snapshot(JOB)
        assert snapshot is not None
        assert snapshot.failures == {TaskId("map", 0): failures}
    else:
        cause: Any = JobStore(connection).record(JOB).cause
        assert cause["message"] == _readable(message)


def _readable(message: str) -> str:
    return message.encode("utf-8", "backslashreplace").decode()


# -- kill


def test_a_kill_ends_the_job_and_may_be_said_twice(connection: Connection) -> None:
    lead(connection)
    submit(connection)
    jobs = JobStore(connection)

    assert Ending(connection).kill(JOB, "it was killed") == "active"
    before = everything(connection)
    assert Ending(connection).kill(JOB, "again") == "dead"

    assert everything(connection) == before
    record = jobs.record(JOB)
    assert record.status == "dead"
    assert record.cause is not None
    assert record.cause["message"] == "it was killed"
    assert control_kinds(connection) == ["submitted", "ended"]


def test_a_kill_of_no_job_makes_none(connection: Connection) -> None:
    assert Ending(connection).kill(JOB, "why") == ""
    assert everything(connection) == {}


def test_a_kill_of_a_ready_job_leaves_it_ready(connection: Connection) -> None:
    lead(connection)
    submit(connection, maps=0)

    assert Ending(connection).kill(JOB, "why") == "ready"

    assert JobStore(connection).record(JOB).status == "ready"


def test_kill_and_last_commit_racing_end_the_job_once(connect: Callable[[], Connection]) -> None:
    clients = [connect(), connect()]
    for i in range(20):
        name = f"job@20260101-000000-{i:04}"
        lead(clients[0])
        submit(clients[0], maps=1, reduces=0, name=name)
        attempt = started(clients[0], "map:0", job=name)

        said = race(
            clients,
            lambda client, n, name=name, attempt=attempt: (  # type: ignore[misc]
                commit(client, attempt) if n else Ending(client).kill(name, "why")
            ),
        )

        status = JobStore(clients[0]).record(name).status
        assert (status, said) in (("ready", ["ready", "ok"]), ("dead", ["active", "over"]))
    assert control_kinds(clients[0]).count("ended") == 20


def test_scripts_and_python_have_the_same_words_for_a_failure_and_a_death(connection: Connection) -> None:
    lead(connection)
    submit(connection)

    fail(connection, started(connection, "map:0"), "data", message="DataError: no")
    why = failure_text(TaskId("map", 0), 1, "n1", "DataError: no")
    assert history(connection)[-1] == why

    fail(connection, started(connection, "map:0", 2, node="n2"), "fatal", message="JobFailure: enough")
    why = failure_text(TaskId("map", 0), 2, "n2", "JobFailure: enough")
    assert history(connection)[-1] == death_text(why)


def test_a_killed_job_dies_with_the_same_words_as_one_whose_task_failed(connection: Connection) -> None:
    lead(connection)
    submit(connection)

    Ending(connection).kill(JOB, "it was killed")

    assert history(connection)[-1] == death_text("it was killed")
    assert describe_death(JOB, JobStore(connection).record(JOB).cause) == f"job {JOB} is dead: it was killed"
