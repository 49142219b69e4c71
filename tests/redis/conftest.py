"""A private server for the tests of this folder: one for all of them, empty for each."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator

import pytest
import redis

from disco_rq.machine.redisserver import PrivateServer, private_directory
from disco_rq.store.attempts import Attempt
from disco_rq.store.connection import Connection
from tests.redis.story import lead, started, submit


@pytest.fixture(scope="session")
def private_redis() -> Iterator[PrivateServer]:
    directory = private_directory()
    try:
        with PrivateServer(directory) as server:
            yield server
    finally:
        shutil.rmtree(directory)


@pytest.fixture
def connect(private_redis: PrivateServer) -> Iterator[Callable[[], Connection]]:
    """Opens a connection of its own, to an empty server, for each client of the test."""
    opened: list[Connection] = []

    def connect() -> Connection:
        opened.append(Connection(private_redis.url, patience_s=1.0))
        return opened[-1]

    first = connect()
    first.redis.flushall()
    first.redis.script_flush()
    yield connect
    for connection in opened:
        connection.close()


@pytest.fixture
def up_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server says so: right after its start no lease counts as run out."""
    said = {"uptime_in_seconds": 86_400, "redis_version": "7.2.0", "run_id": "always the same"}
    monkeypatch.setattr(redis.Redis, "info", lambda *_: said)


@pytest.fixture
def connection(connect: Callable[[], Connection]) -> Connection:
    return connect()


@pytest.fixture
def own(connection: Connection) -> Attempt:
    """An attempt of a job of three maps and a reduce, such as one that lags."""
    lead(connection)
    submit(connection, maps=3, reduces=1)
    return started(connection, "map:0")
