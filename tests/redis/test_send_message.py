"""send_message.lua: ten messages a second for a job, over all its tasks; the system's own never count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from disco_rq.model import MSG_QUOTA
from disco_rq.store import keys
from disco_rq.store.attempts import AttemptStore
from disco_rq.store.cluster import ClusterStore
from disco_rq.store.connection import Connection
from disco_rq.store.ending import Ending
from disco_rq.store.history import History
from disco_rq.store.jobs import JobStore
from tests.redis.story import JOB, OTHER, everything, history, lead, race, submit, wait_until

SENT, DROPPED, OVER = 1, 0, -1


@pytest.fixture
def job(connection: Connection) -> str:
    lead(connection)
    submit(connection)
    return JOB


def messages_by_second(connection: Connection, job: str = JOB) -> Counter[int]:
    return Counter(int(event.timestamp) for event in History(connection).events(job) if event.by_job)


def start_of_a_second(connection: Connection) -> None:
    """So that what follows, some milliseconds of it, is within one."""
    store = ClusterStore(connection)
    wait_until(lambda: store.now_ms() % 1000 < 300)


def test_a_message_is_in_the_history_with_its_host(connection: Connection, job: str) -> None:
    assert AttemptStore(connection).message(job, "n1", "half way, é") == SENT

    event = History(connection).last_event(job)
    assert event is not None
    assert (event.host, event.message, event.by_job) == ("n1", "half way, é", True)


def test_the_eleventh_of_a_second_is_dropped_and_counted(connection: Connection, job: str) -> None:
    start_of_a_second(connection)
    store = AttemptStore(connection)

    codes = [store.message(job, "n1", f"number {i}") for i in range(MSG_QUOTA + 3)]

    assert codes == [SENT] * MSG_QUOTA + [DROPPED] * 3
    assert JobStore(connection).record(job).count("msgs_dropped") == 3
    assert "number 10" not in history(connection)


def test_the_next_second_has_a_quota_of_its_own(connection: Connection, job: str) -> None:
    # given a second that is used up
    store = AttemptStore(connection)
    start_of_a_second(connection)
    while store.message(job, "n1", "first") == SENT:
        pass

    # when the window is of an earlier second
    connection.redis.hset(keys.JobKeys(job).quota, "second", 1)

    # then
    assert store.message(job, "n1", "second") == SENT
    assert int(connection.redis.hget(keys.JobKeys(job).quota, "messages") or 0) == 1


def test_the_quota_holds_over_all_workers(connect: Callable[[], Connection], job: str) -> None:
    clients = [connect() for _ in range(4)]

    codes = race(
        clients, lambda client, n: [AttemptStore(client).message(job, f"n{n}", f"{i}") for i in range(100)]
    )

    sent = sum(some.count(SENT) for some in codes)
    by_second = messages_by_second(clients[0])
    assert sent == sum(by_second.values())
    assert max(by_second.values()) <= MSG_QUOTA
    assert JobStore(clients[0]).record(job).count("msgs_dropped") == 400 - sent


def test_a_message_whose_answer_was_lost_is_sent_once(
    connection: Connection, job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = connection.line.ask
    monkeypatch.setattr(
        connection.line, "ask", lambda commands: ask(commands) and None
    )  # and no answer comes

    assert AttemptStore(connection).message(job, "n1", "once") == SENT

    assert history(connection).count("once") == 1
    assert int(connection.redis.hget(keys.JobKeys(job).quota, "messages") or 0) == 1


def test_jobs_have_quotas_of_their_own(connection: Connection, job: str) -> None:
    submit(connection, name=OTHER)
    start_of_a_second(connection)
    store = AttemptStore(connection)
    while store.message(job, "n1", "x") == SENT:
        pass

    assert store.message(OTHER, "n1", "x") == SENT


def test_events_of_the_system_never_count(connection: Connection, job: str) -> None:
    store = AttemptStore(connection)
    for i in range(3 * MSG_QUOTA):
        store.event(job, "n1", f"{i} entries mapped")

    assert store.message(job, "n1", "x") == SENT
    assert len(history(connection)) == 3 * MSG_QUOTA + 2
    assert sum(messages_by_second(connection).values()) == 1


@pytest.mark.parametrize("name", [JOB, OTHER])
def test_a_job_that_is_over_or_gone_says_nothing_more(connection: Connection, job: str, name: str) -> None:
    Ending(connection).kill(job, "enough")
    before = everything(connection)

    assert AttemptStore(connection).message(name, "n1", "late") == OVER

    assert everything(connection) == before


def test_an_event_for_a_job_that_is_gone_makes_no_key(connection: Connection) -> None:
    AttemptStore(connection).event(JOB, "n1", "late")

    assert everything(connection) == {}
