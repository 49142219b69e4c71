"""A job with a pilot: some maps run first, and the last of their commits pauses the job."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from disco_rq.client.piloting import pilot_facts
from disco_rq.master import term
from disco_rq.model import StageResult, TaskId
from disco_rq.planning.pilot import PilotPlan, ToMap, plan_pilot
from disco_rq.store.attempts import Attempt, AttemptStore, Commit
from disco_rq.store.connection import Connection
from disco_rq.store.jobs import JobStore
from tests.redis.fake_node import master, working
from tests.redis.story import (
    JOB,
    commit,
    control_kinds,
    everything,
    fail,
    history,
    lead,
    started,
    submit,
    wait_until,
)

Connect = Callable[[], Connection]
PAUSED = "The pilot is done, after 2 maps: the job is paused. It waits for resume; info tells what to expect"


def plan_of(*indices: int, maps: int = 5) -> dict[str, object]:
    """A pilot of these maps, each of which reads 100 bytes."""
    plan = plan_pilot([ToMap(".txt", 100)] * maps, len(indices), "seed")
    sample = dict.fromkeys(indices, ToMap(".txt", 100))
    return {"pilot": PilotPlan(sample, plan.rests).pack()}


def submit_pilot(connection: Connection, *indices: int, maps: int = 5, reduces: int = 2) -> None:
    submit(connection, maps, reduces, pilot=len(indices), details=plan_of(*indices, maps=maps))


def paused(connection: Connection) -> bool:
    return JobStore(connection).record(JOB).count("paused") == 1


def test_the_last_commit_of_the_pilot_pauses_the_job_in_the_same_moment(connection: Connection) -> None:
    # given a job with a pilot of two maps
    lead(connection)
    submit_pilot(connection, 1, 3)
    assert commit(connection, started(connection, "map:1")) == "ok"
    assert not paused(connection)
    # when the second one counts
    assert commit(connection, started(connection, "map:3"), partitions={0: 30, 1: 10}) == "ok"
    # then the job waits, and the master is told
    assert paused(connection)
    assert history(connection)[-1] == PAUSED
    assert control_kinds(connection)[-2:] == ["done", "changed"]
    told = json.loads(JobStore(connection).record(JOB).fields["pilot"])
    assert (told["failed"], told["others"], told["bytes"], told["largest"]) == (0, 0, 40, 30)
    assert not any(key.endswith(":pilot") for key in everything(connection))


def test_a_commit_that_is_told_again_pauses_once(connection: Connection) -> None:
    lead(connection)
    submit_pilot(connection, 0)
    attempt = started(connection, "map:0")
    assert commit(connection, attempt) == "ok"
    JobStore(connection).set_paused(JOB, False)

    assert commit(connection, attempt) == "ok"

    assert not paused(connection)


def test_a_job_that_is_resumed_is_not_paused_again(connection: Connection) -> None:
    lead(connection)
    submit_pilot(connection, 0)
    commit(connection, started(connection, "map:0"))
    JobStore(connection).set_paused(JOB, False)

    for index in (1, 2, 3, 4):
        commit(connection, started(connection, f"map:{index}"))

    assert not paused(connection)
    assert len([line for line in history(connection) if "pilot" in line]) == 1


def test_a_failed_map_of_the_pilot_is_waited_for_and_counted(connection: Connection) -> None:
    lead(connection)
    submit_pilot(connection, 0)
    fail(connection, started(connection, "map:0"))
    assert not paused(connection)

    commit(connection, started(connection, "map:0", 2))

    assert paused(connection)
    assert json.loads(JobStore(connection).record(JOB).fields["pilot"])["failed"] == 1


def test_a_job_that_its_pilot_does_whole_is_ready(connection: Connection) -> None:
    lead(connection)
    submit_pilot(connection, 0, maps=1, reduces=0)

    commit(connection, started(connection, "map:0"))

    record = JobStore(connection).record(JOB)
    assert (record.status, record.count("paused")) == ("ready", 0)


def test_all_maps_may_be_the_pilot_and_the_reduces_wait(connection: Connection) -> None:
    lead(connection)
    submit_pilot(connection, 0, maps=1, reduces=1)

    commit(connection, started(connection, "map:0"))

    assert paused(connection)


# -- what it tells


def told(connection: Connection) -> dict[str, Any] | None:
    store = JobStore(connection)
    return pilot_facts(connection, lambda: store.spec(JOB), JOB, store.record(JOB))


def test_without_a_pilot_nothing_is_told(connection: Connection) -> None:
    lead(connection)
    submit(connection)

    assert told(connection) is None


def test_before_it_is_through_it_tells_how_far_it_is(connection: Connection) -> None:
    lead(connection)
    submit_pilot(connection, 1, 3)
    commit(connection, started(connection, "map:1"))

    facts = told(connection)

    assert facts is not None
    assert (facts["maps"], facts["done"], facts["seconds"], facts["suggestions"]) == (2, 1, None, [])


def commit_with(connection: Connection, attempt: Attempt, duration_ms: int, memory: int) -> None:
    result = StageResult(10, 20, 1000, partition_bytes={0: 900, 1: 100}, memory=memory)
    AttemptStore(connection).commit([Commit(attempt, "disco://n1/out", duration_ms, result)])


def test_it_tells_what_to_expect_of_the_others(connection: Connection) -> None:
    # given two of five equal maps, of which each takes two seconds, and no slot but one
    lead(connection)
    submit_pilot(connection, 1, 3)
    AttemptStore(connection).renew("n1", "n1.0")
    for number, task in enumerate(("map:1", "map:3")):
        commit_with(connection, started(connection, task), 2000, memory=(number + 1) << 20)
    # when it is asked
    facts = told(connection)
    # then three more take six seconds, more or less
    assert facts is not None
    assert facts["map_seconds"]["expected"] == pytest.approx(6, rel=0.05)
    assert facts["map_seconds"]["low"] < 6 < facts["map_seconds"]["high"]
    assert facts["bytes"]["expected"] == pytest.approx(5000)
    assert facts["skew"] == pytest.approx(1.8)
    assert (facts["memory"], facts["slots"], facts["bad"], facts["failed"]) == (2 << 20, 1, 0, 0)


def test_what_other_jobs_run_is_not_reckoned_with(connection: Connection) -> None:
    lead(connection)
    submit(connection, name="other@20260101-000000-bbbb")
    for slot in range(3):
        AttemptStore(connection).renew("n1", f"n1.{slot}")
    started(connection, "map:0", job="other@20260101-000000-bbbb")
    submit_pilot(connection, 1)
    commit(connection, started(connection, "map:1"))

    facts = told(connection)

    assert facts is not None
    assert facts["slots"] == 2


# -- with a master


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch, up_for_long: None) -> None:
    monkeypatch.setattr(term, "POLL_MS", 30)


def test_only_the_pilot_runs_before_the_resume_and_nothing_twice(
    connect: Connect, connection: Connection, soon: None
) -> None:
    with master(connect), working(connect, "n1", slots=2) as claimed:
        submit_pilot(connection, 2, 4, maps=30)
        wait_until(lambda: paused(connection))
        first = {attempt.task for attempt in claimed}
        JobStore(connection).set_paused(JOB, False)
        wait_until(lambda: JobStore(connection).record(JOB).status == "ready")

    assert first == {TaskId("map", 2), TaskId("map", 4)}
    assert len(claimed) == len({attempt.task for attempt in claimed}) == 32


def test_another_master_goes_on_with_the_pilot_and_no_more(
    connect: Connect, connection: Connection, soon: None
) -> None:
    # given a pilot of which one map is done
    leads = lead(connection)
    submit_pilot(connection, 2, 4, maps=30)
    commit(connection, started(connection, "map:4"))
    leads.resign()
    # when another master comes
    with master(connect) as one, working(connect, "n1") as claimed:
        wait_until(lambda: paused(connection))
        wait_until(lambda: getattr(one._term.board.jobs.get(JOB), "paused", False))
    # then the other map ran, and nothing else
    assert [attempt.task for attempt in claimed] == [TaskId("map", 2)]
