"""The clock of Redis is stepped, or another server has another one: nothing waits for longer than a lease."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from disco_rq.errors import NodeAlive
from disco_rq.machine.redisserver import PrivateServer, private_directory
from disco_rq.master.caretaker import Caretaker
from disco_rq.master.retention import Retention
from disco_rq.model import LEASE_S, TaskId
from disco_rq.planning.board import Board
from disco_rq.settings import Settings
from disco_rq.store import keys
from disco_rq.store.attempts import LEASE_MS, AttemptStore
from disco_rq.store.clock import local_ahead_ms, server_ms
from disco_rq.store.cluster import ClusterStore
from disco_rq.store.connection import Connection
from disco_rq.store.ending import Ending
from disco_rq.store.history import History
from disco_rq.store.jobs import JobStore
from disco_rq.store.lead import LEEWAY_MS, Lead
from disco_rq.store.nodes import NodeAdmin, NodeStore
from disco_rq.store.queues import Queues
from disco_rq.worker import DiscoWorker
from tests.redis.story import JOB, commit, lead, leases, started, state_of, submit, wait_until
from tests.stepped import SteppedClock

HOUR = 3600

Step = Callable[[int], None]


@pytest.fixture(scope="module")
def clock() -> Iterator[SteppedClock]:
    directory = Path(tempfile.mkdtemp(prefix="clock-"))
    yield SteppedClock(directory)
    shutil.rmtree(directory)


@pytest.fixture
def stepped(clock: SteppedClock) -> Iterator[Connection]:
    """A connection to a server with that clock, which is right at first."""
    clock.step(0)
    directory = private_directory()
    with PrivateServer(directory, clock.binary) as server:
        connection = Connection(server.url, patience_s=1.0)
        yield connection
        connection.close()
    shutil.rmtree(directory)


@pytest.fixture
def step(stepped: Connection, clock: SteppedClock) -> Step:
    """Steps the clock; the server looks at it several times a second."""

    def step(seconds: int) -> None:
        clock.step(seconds)
        wait_until(lambda: abs(local_ahead_ms(stepped) + seconds * 1000) < 500)

    return step


@pytest.fixture
def look(stepped: Connection, up_for_long: None, monkeypatch: pytest.MonkeyPatch) -> Callable[[], object]:
    """What the leading master does a few times a second."""
    lead(stepped)
    store, board = ClusterStore(stepped), Board()
    retention = Retention(stepped, None)
    monkeypatch.setattr(retention, "look", lambda: None)
    the_lead = Lead(stepped, "the-leader")
    return Caretaker(store, the_lead, Queues(stepped.redis), board, {}, retention).look


def longest_ms(connection: Connection) -> float:
    """Until the last lease ends."""
    server: Any = connection.redis
    ends = [end for key in (keys.SLOTS, keys.LEASES) for _, end in server.zrange(key, 0, -1, withscores=True)]
    return float(max(ends)) - server_ms(connection)


def test_no_lease_of_workers_and_attempts_outlives_a_step_back(
    stepped: Connection, step: Step, look: Callable[[], object]
) -> None:
    submit(stepped)
    started(stepped, "map:0")
    AttemptStore(stepped).renew("n1", "w1")
    step(-HOUR)
    assert longest_ms(stepped) > HOUR * 1000

    look()

    assert longest_ms(stepped) <= LEASE_MS
    step(-HOUR + LEASE_MS // 1000 + 1)
    assert ClusterStore(stepped).slots(server_ms(stepped)) == {}
    assert len(ClusterStore(stepped).expired_leases(server_ms(stepped))) == 1


def test_a_lease_that_was_given_by_this_clock_is_left_alone(stepped: Connection) -> None:
    AttemptStore(stepped).renew("n1", "w1")
    before = stepped.redis.zrange(keys.SLOTS, 0, -1, withscores=True)

    Lead(stepped, "any").take_back_leases(server_ms(stepped) - LEEWAY_MS // 2)

    assert stepped.redis.zrange(keys.SLOTS, 0, -1, withscores=True) == before


def test_a_step_forward_takes_no_worker_and_no_attempt(
    stepped: Connection, step: Step, look: Callable[[], object]
) -> None:
    submit(stepped)
    attempt = started(stepped, "map:0")
    AttemptStore(stepped).renew("n1", "w1")
    step(HOUR)

    look()

    assert state_of(stepped, "map:0") == "running 1"
    assert leases(stepped) == ["map:0/1"]
    assert stepped.redis.zcard(keys.SLOTS) == 1
    assert commit(stepped, attempt) == "ok"


def test_who_has_led_and_is_dead_leads_for_no_longer_than_a_lease(stepped: Connection, step: Step) -> None:
    lead(stepped, "dead")
    step(-HOUR)

    assert not Lead(stepped, "next").take("host:1")

    step(-HOUR + LEASE_MS // 1000 + 1)
    assert Lead(stepped, "next").take("host:1")


def test_a_node_that_is_gone_can_be_forgotten_a_minute_later(stepped: Connection, step: Step) -> None:
    NodeStore(stepped, "n1").register({"host": "h"})
    AttemptStore(stepped).renew("n1", "w1")
    NodeStore(stepped, "n1").drop_slots("w1")
    step(-HOUR)

    with pytest.raises(NodeAlive):
        NodeAdmin(stepped).forget("n1")

    step(-HOUR + 61)
    NodeAdmin(stepped).forget("n1")


def test_an_old_job_is_kept_for_no_longer_than_was_asked_from_now_on(stepped: Connection, step: Step) -> None:
    lead(stepped)
    submit(stepped, maps=1, reduces=0)
    commit(stepped, started(stepped, "map:0"))
    step(-HOUR)
    assert Ending(stepped).overdue(10.0) == []

    step(-HOUR + 12)

    assert Ending(stepped).overdue(10.0) == [JOB]


def test_messages_are_counted_by_the_second_that_it_is(stepped: Connection, step: Step) -> None:
    lead(stepped)
    submit(stepped)
    store = AttemptStore(stepped)
    while store.message(JOB, "n1", "text"):
        pass
    step(-HOUR)

    assert store.message(JOB, "n1", "text") == 1


def test_nobody_who_lets_the_server_wait_waits_for_longer_than_a_lease(
    stepped: Connection, clock: SteppedClock
) -> None:
    """The server ends a wait by its clock of the day: who gets no answer in time asks again."""
    connections = [Connection(stepped.url) for _ in range(3)]
    master, client, node = connections
    worker = DiscoWorker(["disco.n1"], "w1", connection=stepped.redis, settings=Settings(redis=stepped.url))
    waits: list[tuple[float, Callable[[], object]]] = [
        (0.5, lambda: ClusterStore(master).read_control("0-0", 500)),
        (2.5, lambda: History(client).wait_events({JOB: "0-0"}, 60_000)),
        (2.0, lambda: NodeStore(node, "n1").wait_purge(2.0)),
        (1.0, lambda: worker.connection.blmove("rq:queue:disco.n1", "beside", 1)),
    ]
    late_s: dict[int, float] = {}

    def wait(number: int) -> None:
        asked_s, act = waits[number]
        began = time.monotonic()
        act()
        late_s[number] = time.monotonic() - began - asked_s

    threads = [threading.Thread(target=wait, args=[number], daemon=True) for number in range(len(waits))]
    for thread in threads:
        thread.start()
    wait_until(lambda: stepped.redis.info("clients")["blocked_clients"] == len(waits))
    clock.step(-HOUR)
    for thread in threads:
        thread.join(2 * LEASE_S)

    assert sorted(late_s) == [0, 1, 2, 3]
    assert max(late_s.values()) < LEASE_S
    for connection in connections:
        connection.close()


def test_an_attempt_began_and_ended_by_the_clock_of_redis(stepped: Connection, step: Step) -> None:
    step(HOUR)  # as if the worker's own lagged
    lead(stepped)
    submit(stepped, maps=1)
    attempt = started(stepped, "map:0")
    before = server_ms(stepped)

    commit(stepped, attempt, duration_ms=50)

    [told] = JobStore(stepped).story(JOB, TaskId("map", 0))
    assert before <= told["ended"] <= server_ms(stepped)
    assert told["ended"] - told["started"] == 50
