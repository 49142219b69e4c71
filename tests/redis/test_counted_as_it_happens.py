"""What the web page shows without looking at any task: counted by the transitions themselves."""

from __future__ import annotations

from typing import Any

import pytest

from disco_rq.model import DURATION_CLASSES_MS
from disco_rq.store import keys
from disco_rq.store.attempts import AttemptStore
from disco_rq.store.connection import Connection
from disco_rq.store.jobs import JobStore
from disco_rq.store.nodes import node_about
from tests.redis.story import JOB, commit, fail, lead, lose, started, submit


@pytest.fixture
def connection(connection: Connection) -> Connection:
    lead(connection)
    submit(connection, maps=4, reduces=2)
    return connection


def partitions(connection: Connection) -> dict[bytes, bytes]:
    found: Any = connection.redis.hgetall(keys.JobKeys(JOB).partitions)
    return dict(found)


def test_what_the_maps_wrote_for_a_partition_is_summed(connection: Connection) -> None:
    commit(connection, started(connection, "map:0"), counters={"a": 1}, partitions={0: 10, 1: 5})
    commit(connection, started(connection, "map:1"), partitions={1: 7})

    assert partitions(connection) == {b"0": b"10", b"1": b"12"}
    assert JobStore(connection).counters(JOB) == {"a": 1}


def test_a_map_that_is_made_again_does_not_weigh_twice(connection: Connection) -> None:
    commit(connection, started(connection, "map:0"), partitions={0: 10})
    lose(connection)

    commit(connection, started(connection, "map:0", 2), partitions={0: 10})

    assert partitions(connection) == {b"0": b"10"}
    assert JobStore(connection).record(JOB).count("map:ms") == 50


def test_the_nodes_of_a_job_are_those_that_ran_a_task_of_it(connection: Connection) -> None:
    started(connection, "map:0", node="n2")
    fail(connection, started(connection, "map:1", node="n1"))

    assert JobStore(connection).nodes(JOB) == ["n1", "n2"]


def test_a_phase_tells_when_it_began_and_ended(connection: Connection) -> None:
    record = JobStore(connection).record(JOB)
    assert "map:started" not in record.fields

    for i in range(4):
        assert "map:ended" not in record.fields
        commit(connection, started(connection, f"map:{i}"))
        record = JobStore(connection).record(JOB)

    assert 0 < record.count("map:started") <= record.count("map:ended")
    assert "reduce:started" not in record.fields
    assert record.count("map:ms") == 200


@pytest.mark.parametrize(
    ("duration_ms", "class_"),
    [(0, "10"), (10, "10"), (11, "100"), (10_000_000, "10000000"), (10_000_001, "inf")],
)
def test_durations_are_counted_in_classes(connection: Connection, duration_ms: int, class_: str) -> None:
    commit(connection, started(connection, "map:0"), duration_ms=duration_ms)

    assert node_about(connection, "n1")[f"done_under:{class_}"] == "1"
    assert class_ == "inf" or int(class_) in DURATION_CLASSES_MS


def test_the_first_failures_keep_their_tracebacks(connection: Connection) -> None:
    for number in range(1, 102):
        fail(connection, started(connection, "map:0", number), survives=1000, traceback="Traceback: x")

    told = JobStore(connection).attempts(JOB)
    kept = sorted(number for (_, number), one in told.items() if one.get("traceback") == "Traceback: x")
    assert kept == list(range(1, 101))


def test_dropped_messages_and_refused_results_are_totalled(connection: Connection) -> None:
    store = AttemptStore(connection)
    attempt = started(connection, "map:0")
    for i in range(1001):
        store.put(attempt, f"key:{i}", b"sx", i + 1)
    while store.message(JOB, "n1", "text"):
        pass

    assert connection.redis.hgetall(keys.TOTALS) == {b"oob_refused": b"1", b"msgs_dropped": b"1"}


def test_a_sign_of_life_is_remembered_with_the_node(connection: Connection) -> None:
    AttemptStore(connection).renew("n1", "w1")

    seconds, _ = connection.redis.time()
    assert abs(int(node_about(connection, "n1")["seen"]) / 1000 - int(seconds)) < 5
