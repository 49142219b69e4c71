"""A Redis that is away, stopped or slow to answer: waited for so long as was said, and told in one line."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from redis.exceptions import ConnectionError as RedisConnectionError

from disco_rq.errors import ConnectionLost
from disco_rq.machine.redisserver import PrivateServer
from disco_rq.store import connection as connection_module
from disco_rq.store.connection import AWAY_PATIENCE_S, Connection, PatientRetry, Vigil
from disco_rq.store.history import History


@pytest.fixture
def server(short_dir: Path) -> Iterator[PrivateServer]:
    with PrivateServer(short_dir) as server:
        yield server
        with contextlib.suppress(ProcessLookupError):  # stopped by the test itself
            os.kill(server.pid, signal.SIGCONT)


def test_a_server_that_went_is_tried_for_as_long_as_was_said(server: PrivateServer) -> None:
    connection = Connection(server.url, patience_s=0.5)
    server.stop()
    began = time.monotonic()
    with pytest.raises(ConnectionLost, match=rf"^Redis at {server.url} cannot be reached: .*$"):
        connection.redis.ping()
    assert 0.5 <= time.monotonic() - began < AWAY_PATIENCE_S


def test_a_server_that_hangs_is_away_too(server: PrivateServer, monkeypatch: pytest.MonkeyPatch) -> None:
    # given one that is stopped while its connections stay open
    monkeypatch.setattr(connection_module, "SOCKET_TIMEOUT_S", 0.2)
    connection = Connection(server.url, patience_s=0.5)
    connection.redis.ping()
    os.kill(server.pid, signal.SIGSTOP)
    # then no try takes for ever, and all of them not longer than was said
    began = time.monotonic()
    with pytest.raises(ConnectionLost, match=r"Timeout"):
        connection.redis.ping()
    assert time.monotonic() - began < AWAY_PATIENCE_S


def test_a_command_goes_on_when_the_server_comes_back_in_time(short_dir: Path) -> None:
    first = PrivateServer(short_dir)
    connection = Connection(first.url)
    connection.redis.set("kept", "yes")
    first.stop()
    with PrivateServer(short_dir):
        assert connection.redis.get("kept") == b"yes"
        connection.close()


def test_waiting_for_a_quiet_job_outlasts_the_time_of_one_answer(server: PrivateServer) -> None:
    # given that one answer may take a few seconds, and nothing happens for longer
    history = History(Connection(server.url, patience_s=0.1))
    assert history.wait_events({"quiet": "0-0"}, block_ms=60_000) == {}


def test_rq_gets_its_own_error_when_the_patience_is_over(server: PrivateServer) -> None:
    client = redis.Redis.from_url(server.url)
    client.set_retry(PatientRetry(0.3))
    server.stop()
    with pytest.raises(RedisConnectionError):
        client.ping()
    client.close()


def test_a_vigil_ends_when_the_server_is_away_for_too_long_at_a_stretch(short_dir: Path) -> None:
    # given one that was away, and came back
    server = PrivateServer(short_dir)
    vigil = Vigil(server.url, patience_s=0.3)
    server.stop()
    vigil.look()
    with PrivateServer(short_dir) as server:
        time.sleep(0.4)
        vigil.look()
    # when it goes again: the time counts from then
    vigil.look()
    time.sleep(0.4)
    with pytest.raises(ConnectionLost, match=rf"^Redis at {server.url} cannot be reached: .*$"):
        vigil.look()
