"""put_oob.lua: a result is staged within the quota, under a key that is free in the whole job."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from disco_rq.errors import OOBNotFound
from disco_rq.model import OOB_QUOTA, TaskId
from disco_rq.store import keys
from disco_rq.store.attempts import Attempt, AttemptStore, find_oob
from disco_rq.store.connection import Connection
from disco_rq.store.jobs import JobStore
from disco_rq.worker.services import TaskServices
from tests.redis.story import (
    JOB,
    commit,
    everything,
    fail,
    lead,
    put,
    race,
    staged_keys,
    started,
    submit,
)

STORED, EXISTS, OVER_QUOTA, NOT_OURS = 0, 1, 2, 3


@pytest.fixture
def attempt(connection: Connection) -> Attempt:
    lead(connection)
    submit(connection, maps=8, reduces=2)
    return started(connection, "map:0")


def test_a_put_is_seen_by_nobody_before_the_commit(connection: Connection, attempt: Attempt) -> None:
    assert put(connection, attempt, "key", "value") == STORED

    with pytest.raises(OOBNotFound, match="no OOB result 'key'"):
        JobStore(connection).oob_get(JOB, "key")
    commit(connection, attempt)
    assert JobStore(connection).oob_get(JOB, "key") == "value"


@pytest.mark.parametrize(
    ("typed", "value", "in_redis"),
    [
        (b"splain \xc3\xa9", "plain é", "plain é".encode()),
        (b"s", "", b""),
        (b"s{}", "{}", b"{}"),
        (b"b\x00\xff", b"\x00\xff", b"\x00\xff"),
        (b'j{"a": [1, 2.5, null, true]}', {"a": [1, 2.5, None, True]}, b'{"a": [1, 2.5, null, true]}'),
        (b"s\xed\xb3\xa9", "\udce9", b"\xed\xb3\xa9"),
    ],
)
def test_a_value_comes_back_as_the_type_that_was_put(
    connection: Connection, attempt: Attempt, typed: bytes, value: object, in_redis: bytes
) -> None:
    AttemptStore(connection).put(attempt, "key", typed, 1)
    commit(connection, attempt)

    found = JobStore(connection).oob_get(JOB, "key")

    assert (found, type(found)) == (value, type(value))
    assert connection.redis.hgetall(keys.JobKeys(JOB).oob) == {b"key": in_redis}


def test_a_second_put_of_a_key_is_refused_also_with_the_same_value(
    connection: Connection, attempt: Attempt
) -> None:
    put(connection, attempt, "key", "value", count=1)
    before = everything(connection)

    assert put(connection, attempt, "key", "value", count=2) == EXISTS
    assert put(connection, attempt, "key", "other", count=2) == EXISTS

    assert everything(connection) == before


def test_a_put_asked_again_after_a_lost_answer_is_stored_once(
    connection: Connection, attempt: Attempt
) -> None:
    assert put(connection, attempt, "key", "value", count=1) == STORED
    before = everything(connection)

    assert put(connection, attempt, "key", "value", count=1) == STORED

    assert everything(connection) == before


def test_a_key_is_unique_in_its_job_committed_or_not(connection: Connection, attempt: Attempt) -> None:
    put(connection, attempt, "staged", count=1)
    other = started(connection, "map:1", worker="w2")
    assert put(connection, other, "staged") == EXISTS

    commit(connection, attempt)
    assert put(connection, other, "staged") == EXISTS
    assert put(connection, started(connection, "reduce:0"), "staged") == EXISTS
    assert JobStore(connection).oob_list(JOB) == ["staged"]


def test_a_rerun_may_put_the_same_keys_again(connection: Connection, attempt: Attempt) -> None:
    put(connection, attempt, "key", "first")
    fail(connection, attempt)

    again = started(connection, "map:0", 2, node="n2")
    assert put(connection, again, "key", "second") == STORED
    commit(connection, again)

    assert JobStore(connection).oob_get(JOB, "key") == "second"


def test_another_task_may_put_what_a_failed_one_had_put(connection: Connection, attempt: Attempt) -> None:
    put(connection, attempt, "key")
    fail(connection, attempt)

    assert put(connection, started(connection, "map:1"), "key") == STORED


def test_the_result_after_the_last_of_the_quota_is_refused(connection: Connection, attempt: Attempt) -> None:
    # given
    store = AttemptStore(connection)
    codes = [store.put(attempt, f"key:{i}", b"sx", i + 1) for i in range(OOB_QUOTA)]
    assert set(codes) == {STORED}
    before = everything(connection)

    # when
    assert put(connection, attempt, "one-more", count=OOB_QUOTA + 1) == OVER_QUOTA

    # then nothing beyond the rule is stored; the last good one, asked again, still is
    assert everything(connection) == before | {keys.TOTALS: {b"oob_refused": b"1"}}
    assert store.put(attempt, f"key:{OOB_QUOTA - 1}", b"sx", OOB_QUOTA) == STORED
    commit(connection, attempt)
    assert len(JobStore(connection).oob_list(JOB)) == OOB_QUOTA


def test_the_quota_is_each_attempts_own(
    connection: Connection, attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("disco_rq.store.attempts.OOB_QUOTA", 1)
    other = started(connection, "map:1", worker="w2")
    assert put(connection, attempt, "a") == STORED
    assert put(connection, other, "b") == STORED
    fail(connection, attempt)

    assert put(connection, started(connection, "map:0", 2), "a") == STORED


def test_the_quota_holds_for_threads_that_put_at_the_same_time(
    connect: Callable[[], Connection], attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("disco_rq.store.attempts.OOB_QUOTA", 50)
    clients = [connect() for _ in range(4)]

    codes = race(clients, lambda client, n: [put(client, attempt, f"{n}:{i}", count=-1) for i in range(25)])

    flat = [code for some in codes for code in some]
    assert sorted(flat) == [STORED] * 50 + [OVER_QUOTA] * 50
    commit(clients[0], attempt)
    assert len(JobStore(clients[0]).oob_list(JOB)) == 50


def test_of_tasks_racing_for_a_key_exactly_one_gets_it(
    connect: Callable[[], Connection], attempt: Attempt
) -> None:
    clients = [connect() for _ in range(4)]
    racers = [attempt, *(started(clients[0], f"map:{i}", worker=f"w{i}") for i in range(1, 4))]

    codes = race(
        clients,
        lambda client, n: [put(client, racers[n], f"key:{i}", str(n), count=-1) for i in range(30)],
    )

    for of_one_key in zip(*codes, strict=True):
        assert sorted(of_one_key) == [STORED, EXISTS, EXISTS, EXISTS]
    for racer in racers:
        assert commit(clients[0], racer) == "ok"
    for i in range(30):
        winner = [some[i] for some in codes].index(STORED)
        assert JobStore(clients[0]).oob_get(JOB, f"key:{i}") == str(winner)


@pytest.mark.parametrize(
    "stranger",
    [
        Attempt(JOB, TaskId("map", 0), 1, "n1", "another worker"),
        Attempt(JOB, TaskId("map", 0), 2, "n1", "w1"),
        Attempt(JOB, TaskId("map", 1), 1, "n1", "w1"),
        Attempt("nosuch@20260101-000000-zzzz", TaskId("map", 0), 1, "n1", "w1"),
    ],
    ids=str,
)
def test_who_does_not_run_the_attempt_puts_nothing(
    connection: Connection, attempt: Attempt, stranger: Attempt
) -> None:
    before = everything(connection)

    assert put(connection, stranger, "key") == NOT_OURS

    assert everything(connection) == before


def test_a_reduce_sees_what_the_maps_put_and_no_other_reduces(
    connection: Connection, attempt: Attempt
) -> None:
    put(connection, attempt, "of-map")
    commit(connection, attempt)
    reduce = started(connection, "reduce:0")
    put(connection, reduce, "of-reduce")
    commit(connection, reduce)

    assert find_oob(connection, JOB, "of-map")[:2] == ("v", TaskId("map", 0))
    services = TaskServices(connection, AttemptStore(connection), reduce)
    assert services.get("of-map", "map") == "v"
    with pytest.raises(KeyError):
        services.get("of-reduce", "map")
    assert JobStore(connection).oob_list(JOB) == ["of-map", "of-reduce"]
    assert staged_keys(connection) == []


def test_results_of_a_job_that_is_not_there_are_not_found(connection: Connection) -> None:
    with pytest.raises(OOBNotFound, match="unknown job 'nosuch'"):
        JobStore(connection).oob_get("nosuch", "key")
    with pytest.raises(OOBNotFound, match="unknown job 'nosuch'"):
        JobStore(connection).oob_list("nosuch")
