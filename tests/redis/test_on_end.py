"""Whatever ends a job notes it in that moment, and one RQ job tells it, whoever dies and however many ask."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from redis.client import Pipeline
from redis.exceptions import NoPermissionError
from rq import Queue
from rq.job import Job

from disco_rq.master import term
from disco_rq.model import JobSpec
from disco_rq.packing import JobSeal
from disco_rq.store import keys
from disco_rq.store.connection import Connection
from disco_rq.store.ending import Ending
from disco_rq.store.ends import Ends, end_id
from disco_rq.store.jobs import JobStore
from tests.redis.fake_node import master, working
from tests.redis.story import (
    JOB,
    OTHER,
    commit,
    everything,
    fail,
    history,
    lead,
    lose,
    map_inputs,
    race,
    reading,
    started,
    submit,
    wait_until,
)

Connect = Callable[[], Connection]
CALL = ["users.told", "mine"]


def noted(connection: Connection) -> dict[str, Any]:
    """Job -> status with which its end is noted."""
    found: Any = connection.redis.hgetall(keys.ENDS)
    return {job.decode(): json.loads(note)["status"] for job, note in found.items()}


def waiting(connection: Connection, queue: str = "mine") -> list[Job]:
    return Queue(queue, connection=connection.redis).jobs


@pytest.fixture
def led(connection: Connection) -> Connection:
    lead(connection)
    return connection


def test_a_job_that_is_ready_is_noted_with_its_last_commit(led: Connection) -> None:
    submit(led, maps=1, reduces=0, on_end=CALL)
    assert noted(led) == {}

    commit(led, started(led, "map:0"))

    assert noted(led) == {JOB: "ready"}


def test_a_job_whose_input_is_empty_is_noted_with_its_submit(led: Connection) -> None:
    submit(led, maps=0, on_end=CALL)

    assert noted(led) == {JOB: "ready"}


def test_a_job_that_an_error_ends_is_noted(led: Connection) -> None:
    submit(led, on_end=CALL)

    assert fail(led, started(led, "map:0"), "fatal") == "dead"

    assert noted(led) == {JOB: "dead"}


def test_a_job_that_too_many_losses_end_is_noted(led: Connection) -> None:
    submit(led, maps=1, on_end=CALL)
    commit(led, started(led, "map:0"))

    assert lose(led, survives=0, reader=reading(led)) == "dead"

    assert noted(led) == {JOB: "dead"}


def test_a_job_that_is_killed_is_noted_once(led: Connection) -> None:
    submit(led, on_end=CALL)

    Ending(led).kill(JOB, "it was killed")
    Ends(led, None).work_off()
    Ending(led).kill(JOB, "it was killed")

    assert noted(led) == {}


def test_a_job_that_is_purged_while_it_is_active_is_told_without_its_records(led: Connection) -> None:
    submit(led, on_end=CALL)
    Ending(led).purge(JOB)
    assert not any(key.startswith(keys.JobKeys(JOB).job) for key in everything(led))

    Ends(led, None).work_off()

    [told] = waiting(led)
    assert told.args[0]["cause"]["message"] == "it was purged"


def test_a_job_that_had_ended_before_is_not_told_again_by_its_purge(led: Connection) -> None:
    submit(led, maps=0, on_end=CALL)
    Ends(led, None).work_off()

    Ending(led).purge(JOB)

    assert noted(led) == {}
    assert len(waiting(led)) == 1


def test_a_job_without_on_end_is_not_noted(led: Connection) -> None:
    submit(led)
    Ending(led).kill(JOB, "it was killed")

    assert noted(led) == {}


# -- the call


def test_the_function_is_called_with_job_status_and_cause(led: Connection) -> None:
    submit(led, on_end=CALL)
    fail(led, started(led, "map:0"), "fatal", message="ValueError: no")

    Ends(led, None).work_off()

    [told] = waiting(led)
    [ending] = told.args
    assert (told.func_name, told.id) == ("users.told", end_id(JOB))
    assert (ending["job"], ending["status"]) == (JOB, "dead")
    assert ending["cause"]["message"] == "ValueError: no"
    assert ending["cause"]["task"] == "map:0"
    assert history(led)[-1] == f"on_end: RQ job {end_id(JOB)} is in queue mine"


def test_an_address_is_told_by_our_webhook_in_its_queue(led: Connection) -> None:
    submit(led, maps=0, on_end="https://example.org/done")

    Ends(led, None).work_off()

    [told] = waiting(led, "disco-webhooks")
    assert told.func_name == "disco_rq.webhook"
    assert told.args == ({"job": JOB, "status": "ready", "cause": None}, "https://example.org/done")
    assert told.timeout is not None
    assert told.timeout > 600


def test_of_masters_that_work_it_off_at_once_one_does(connect: Connect, led: Connection) -> None:
    for number in range(20):
        name = f"job@20260101-000000-{number:04}"
        submit(led, maps=0, name=name, on_end=CALL)

    race([connect() for _ in range(4)], lambda client, _: Ends(client, None).work_off())

    ids = [job.id for job in waiting(led)]
    assert len(ids) == len(set(ids)) == 20


@pytest.mark.parametrize("when", ["before", "after"])
def test_who_dies_at_the_transaction_loses_and_doubles_nothing(
    led: Connection, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    # given a master that dies right before, or right after it
    submit(led, maps=0, on_end=CALL)
    execute = Pipeline.execute

    def dies(pipe: Pipeline, *args: Any, **kwargs: Any) -> Any:
        if when == "after":
            execute(pipe, *args, **kwargs)
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(Pipeline, "execute", dies)
        with pytest.raises(SystemExit):
            Ends(led, None).work_off()
    # when the next one comes
    Ends(led, None).work_off()
    # then it is told once
    assert [job.id for job in waiting(led)] == [end_id(JOB)]


def test_a_note_that_makes_no_sense_is_dropped_and_the_others_are_told(led: Connection) -> None:
    led.redis.hset(keys.ENDS, OTHER, b"\xffnonsense")
    submit(led, maps=0, on_end=CALL)

    Ends(led, None).work_off()

    assert [job.id for job in waiting(led)] == [end_id(JOB)]
    assert led.redis.hlen(keys.ENDS) == 0


def test_who_may_not_fill_the_queue_keeps_the_note_and_goes_on(
    led: Connection, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # given a user who may not write to other queues than those of nodes
    def refuse(*_: object) -> None:
        raise NoPermissionError("NOPERM rq:queue:mine")

    submit(led, maps=0, on_end=CALL)
    ends = Ends(led, None)
    with monkeypatch.context() as patch:
        patch.setattr(Pipeline, "execute", refuse)
        # when the master is that user, then it says so, and nothing is lost
        ends.work_off()
        ends.work_off()
    assert noted(led) == {JOB: "ready"}
    assert caplog.messages == [f"the end of {JOB} cannot be told now: NOPERM rq:queue:mine"]
    # when it may
    Ends(led, None).work_off()
    # then it is told
    assert len(waiting(led)) == 1


# -- what Redis cannot forge


def signed(connection: Connection, secret: bytes) -> None:
    spec = JobSpec(JOB, 0, 0, has_map=True, has_reduce=False, on_end=CALL)
    connection.redis.set(keys.CLUSTER, "word")
    assert JobStore(connection).submit(spec, b"", map_inputs(0), JobSeal(JOB, secret, "word"))


def test_with_a_secret_it_is_told_what_the_client_has_signed(led: Connection) -> None:
    signed(led, b"secret")

    Ends(led, b"secret").work_off()

    assert len(waiting(led)) == 1


@pytest.mark.parametrize("forged", [b' ["os.abort", "mine"]', b'0000 ["os.abort", "mine"]'])
def test_a_call_that_nobody_has_signed_is_not_made(led: Connection, forged: bytes) -> None:
    signed(led, b"secret")
    note = {"on_end": forged.decode(), "status": "ready", "cause": ""}
    led.redis.hset(keys.ENDS, JOB, json.dumps(note))

    Ends(led, b"secret").work_off()

    assert waiting(led) == []
    assert led.redis.hlen(keys.ENDS) == 0


# -- with a master


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch, up_for_long: None) -> None:
    monkeypatch.setattr(term, "POLL_MS", 30)


def test_a_master_tells_the_ends_of_its_time_and_those_before_it(
    connect: Connect, connection: Connection, soon: None
) -> None:
    leads = lead(connection)
    submit(connection, maps=0, name=OTHER, on_end=CALL)
    leads.resign()

    with master(connect), working(connect, "n1"):
        submit(connection, on_end=CALL)
        wait_until(lambda: len(waiting(connection)) == 2)

    assert {job.id for job in waiting(connection)} == {end_id(JOB), end_id(OTHER)}
