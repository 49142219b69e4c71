"""submit_job.lua: a job exists whole, or not at all."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from disco_rq.client.facts import job_facts
from disco_rq.errors import NoMaster
from disco_rq.model import JobSpec
from disco_rq.store import jobs, keys
from disco_rq.store.attempts import AttemptStore
from disco_rq.store.cluster import ClusterStore
from disco_rq.store.connection import Connection, script_sha
from disco_rq.store.jobs import JobStore
from tests.redis.story import (
    JOB,
    OTHER,
    control_kinds,
    everything,
    history,
    lead,
    map_inputs,
    race,
    submit,
    wait_until,
)

SPEC = JobSpec(name=JOB, nr_maps=2, nr_reduces=1, has_map=True, has_reduce=True)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "MASTER_PATIENCE_S", 0.0)


def test_a_job_is_there_whole(connection: Connection) -> None:
    # given
    lead(connection)

    # when
    spec = submit(connection, maps=2, reduces=1, priority=7)

    # then
    store = JobStore(connection)
    record = store.record(JOB)
    assert record.status == "active"
    assert record.phase("map") == [2, 0, 0, 0]
    assert record.phase("reduce") == [1, 0, 0, 0]
    assert record.fields["owner"] == "me"
    assert record.count("priority") == 7
    assert AttemptStore(connection).job(JOB) == (spec, b"pack")
    assert store.inputs(JOB, 100) == map_inputs(2)
    assert [name for name, _ in store.job_list()] == [JOB]
    assert ClusterStore(connection).active_jobs() == {JOB}
    assert control_kinds(connection) == ["submitted"]
    assert history(connection) == ["Job submitted: 2 maps, 1 reduces"]


def test_a_job_always_tells_what_it_was_spared_and_whether_it_waits(connection: Connection) -> None:
    lead(connection)
    submit(connection)

    store = JobStore(connection)
    told = job_facts(store, JOB, store.record(JOB))

    expected = {"paused": False, "pilot": None, "bad": 0, "kept": 0, "reused": 0}
    assert {what: told[what] for what in expected} == expected


def test_without_a_leading_master_nothing_is_written(connection: Connection, impatient: None) -> None:
    with pytest.raises(NoMaster, match="start 'disco-rq master'"):
        submit(connection)

    assert everything(connection) == {}


def test_a_submit_waits_for_a_master_that_comes_soon(connect: Callable[[], Connection]) -> None:
    def play(client: Connection, number: int) -> None:
        if number == 0:
            submit(client)
        else:
            wait_until(
                lambda: client.redis.script_exists(script_sha("submit_job")) == [True]
            )  # it was refused
            lead(client)

    race([connect(), connect()], play)

    assert JobStore(connect()).record(JOB).status == "active"


def test_a_submit_that_waits_for_a_master_says_so_at_once(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(jobs, "MASTER_SILENCE_S", 0.0)
    monkeypatch.setattr(jobs, "MASTER_PATIENCE_S", 0.2)

    with pytest.raises(NoMaster):
        submit(connection)

    [told] = caplog.messages
    assert told.startswith(f"no master leads the cluster at {connection.address}: waiting up to ")


def test_a_taken_name_is_refused_and_changes_nothing(connection: Connection) -> None:
    lead(connection)
    submit(connection, maps=2)
    before = everything(connection)

    answer = JobStore(connection).submit(
        JobSpec(JOB, nr_maps=9, nr_reduces=0, has_map=True, has_reduce=False), b"another", map_inputs(9)
    )

    assert answer is None
    assert everything(connection) == before


def test_the_same_submit_asked_again_after_a_lost_answer_is_one_job(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client library asks again by itself when the connection breaks before the answer came."""
    lead(connection)
    ask = connection.run
    monkeypatch.setattr(connection, "run", lambda *call, **how: (ask(*call, **how), ask(*call, **how))[1])

    assert JobStore(connection).submit(SPEC, b"pack", map_inputs(2)) == JOB

    assert control_kinds(connection) == ["submitted"]


def test_an_empty_input_makes_the_job_ready_at_once(connection: Connection) -> None:
    lead(connection)

    submit(connection, maps=0, reduces=1)

    assert JobStore(connection).record(JOB).status == "ready"
    assert ClusterStore(connection).active_jobs() == set()
    assert control_kinds(connection) == ["ended"]


def test_of_clients_racing_for_one_name_exactly_one_gets_it(connect: Callable[[], Connection]) -> None:
    clients = [connect() for _ in range(4)]
    lead(clients[0])

    won = race(clients, lambda client, n: JobStore(client).submit(SPEC, b"pack %d" % n, map_inputs(2)))

    assert sorted(won, key=str) == [None, None, None, JOB]
    assert control_kinds(clients[0]) == ["submitted"]
    found = AttemptStore(clients[0]).job(JOB)
    assert found is not None
    assert found[1] == b"pack %d" % won.index(JOB)


def test_jobs_are_listed_newest_first(connection: Connection) -> None:
    lead(connection)
    submit(connection, name=OTHER)
    connection.redis.zadd(keys.JOBS, {OTHER: 1000})
    submit(connection)

    assert [name for name, _ in JobStore(connection).job_list()] == [JOB, OTHER]


def test_scripts_are_loaded_into_a_server_that_forgot_them(connection: Connection) -> None:
    lead(connection)
    connection.redis.script_flush()

    submit(connection)

    assert control_kinds(connection) == ["submitted"]
