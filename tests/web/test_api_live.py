"""Server-sent events: what happens is told at once, once, and again only to who has missed it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from disco_rq.machine.redisserver import PrivateServer
from disco_rq.store.attempts import AttemptStore
from disco_rq.store.connection import Connection
from disco_rq.store.ending import Ending
from disco_rq.store.history import History
from tests.redis.story import JOB, OTHER, commit, started, submit
from tests.web.visitor import Sent, Visitor, served

STREAM = f"jobs/{JOB}/stream"


@pytest.fixture
def story_root(web_redis: PrivateServer) -> Iterator[str]:
    """A page that has never seen the job before: names of jobs come back in tests only."""
    with served(web_redis.url) as root:
        yield root


def next_of(events: Iterator[Sent], kind: str) -> Sent:
    return next(event for event in events if event.kind == kind)


def test_a_jobs_stream_begins_with_all_of_it(api: Visitor, connection: Connection) -> None:
    submit(connection)
    AttemptStore(connection).message(JOB, "n1", "hello")

    with api.listening(STREAM) as events:
        first = next(events)
        lines = [next(events), next(events)]

    assert (first.kind, first.id, first.data["name"]) == ("job", "", JOB)
    assert lines[-1].data["message"] == "hello"


def test_a_message_appears_while_one_looks(api: Visitor, connection: Connection) -> None:
    submit(connection)

    with api.listening(STREAM) as events:
        assert next_of(events, "event").data["message"].startswith("Job submitted")
        AttemptStore(connection).message(JOB, "n1", "hello")
        told = next_of(events, "event")

    assert (told.data["message"], told.data["kind"], told.data["host"]) == ("hello", "msg", "n1")
    assert told.id == told.data["id"]


def test_progress_appears_while_one_looks(api: Visitor, connection: Connection) -> None:
    submit(connection, maps=2)

    with api.listening(STREAM) as events:
        assert next_of(events, "job").data["maps"]["done"] == 0
        commit(connection, started(connection, "map:0"))
        assert next(event for event in events if event.kind == "job" and event.data["maps"]["done"] == 1)


@pytest.mark.parametrize("by_header", [True, False])
def test_who_comes_back_hears_only_what_they_missed(
    *, api: Visitor, connection: Connection, by_header: bool
) -> None:
    submit(connection)
    store = AttemptStore(connection)
    store.message(JOB, "n1", "heard")
    heard = History(connection).last_event(JOB)
    assert heard is not None
    store.message(JOB, "n1", "missed")
    Ending(connection).kill(JOB, "it was killed")

    path = STREAM if by_header else f"{STREAM}?after={heard.offset}"
    with api.listening(path, {"Last-Event-ID": heard.offset} if by_header else {}) as events:
        told = [event.data["message"] for event in events if event.kind == "event"]

    assert told == ["missed", "Job is dead. it was killed"]


def test_the_stream_of_a_job_that_is_over_ends_with_that(api: Visitor, connection: Connection) -> None:
    submit(connection)
    Ending(connection).kill(JOB, "it was killed")

    with api.listening(STREAM) as events:
        kinds = [event.kind for event in events]

    assert kinds == ["job", "event", "event", "end"]


def test_the_stream_of_a_job_that_is_purged_says_so(api: Visitor, connection: Connection) -> None:
    submit(connection, name=OTHER)

    with api.listening(f"jobs/{OTHER}/stream") as events:
        next_of(events, "event")
        Ending(connection).forget(OTHER)
        assert next_of(events, "gone").data == {}
        assert list(events) == []


def test_a_long_history_comes_whole_and_in_order(api: Visitor, connection: Connection) -> None:
    submit(connection)
    store = AttemptStore(connection)
    for i in range(1200):
        store.event(JOB, "n1", str(i))
    Ending(connection).kill(JOB, "it was killed")

    with api.listening(STREAM) as events:
        told = [event.data["message"] for event in events if event.kind == "event"]

    assert told[1:-1] == [str(i) for i in range(1200)]


@pytest.mark.parametrize("wrong", ["x", "1", "1-1-1", "-"])
def test_what_is_no_place_in_a_history_is_refused(api: Visitor, connection: Connection, wrong: str) -> None:
    submit(connection)

    assert api.get(STREAM, after=wrong).code == "bad-request"
    assert api.get(STREAM, {"Last-Event-ID": wrong}).code == "bad-request"


def test_the_overview_is_told_at_once_and_when_it_changes(api: Visitor, connection: Connection) -> None:
    with api.listening("stream") as events:
        first = next(events)
        submit(connection)
        second = next(event for event in events if event.data["jobs"])
        Ending(connection).kill(JOB, "it was killed")
        third = next(event for event in events if event.data["jobs"][0]["state"] == "dead")

    assert (first.kind, first.data["overview"]["totals"]["active"]) == ("overview", 0)
    assert second.data["overview"]["totals"]["active"] == 1
    assert third.data["overview"]["totals"]["active"] == 0
    assert len({first.id, second.id, third.id}) == 3


def test_an_overview_that_one_has_is_not_told_again(api: Visitor, connection: Connection) -> None:
    with api.listening("stream") as events:
        last_id = next(events).id

    with api.listening("stream", {"Last-Event-ID": last_id}) as events:
        submit(connection)
        assert next(events).id != last_id


def test_what_happens_while_two_look_is_told_to_both(api: Visitor, connection: Connection) -> None:
    submit(connection)

    with api.listening(STREAM) as one, api.listening(STREAM) as other:
        AttemptStore(connection).message(JOB, "n1", "hello")
        for events in (one, other):
            assert next(event for event in events if event.kind == "event" and event.data["kind"] == "msg")


def test_a_page_that_ends_ends_its_streams(web_redis: PrivateServer, connection: Connection) -> None:
    submit(connection)

    with contextlib.ExitStack() as page:
        root = page.enter_context(served(web_redis.url))
        with Visitor(root).listening("stream") as events, Visitor(root).listening(STREAM) as others:
            assert next(events).kind == "overview"
            assert next(others).kind == "job"

            page.close()

            # Read to its end, each of them: one that is cut off raises.
            assert all(sent.kind for stream in (events, others) for sent in stream)


def test_without_redis_it_says_so_and_works_again_when_it_is_back(short_dir: Path) -> None:
    with PrivateServer(short_dir) as server, served(server.url) as root:
        api = Visitor(root)
        with api.listening("stream") as events:
            assert next(events).kind == "overview"
            server.stop()
            assert all(event.kind == "overview" for event in events)

        assert (api.get("overview").status, api.get("overview").code) == (503, "redis")
        assert api.get("/healthz").status == 503
        with PrivateServer(short_dir):
            assert api.get("overview").status == 200
