"""A server that is no master any more, or takes no writes, is to a client a connection that is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from disco_rq.errors import ConnectionLost
from disco_rq.store import keys
from disco_rq.store.clients import _Parser
from disco_rq.store.connection import Connection
from tests.sentinels import Sentinels
from tests.services import TcpServer


@pytest.fixture(params=["bundled", "debian"])
def start(request: pytest.FixtureRequest, short_dir: Path) -> Iterator[Callable[..., Connection]]:
    """Starts a server with these options; a connection to it that has little patience."""
    binary = None if request.param == "bundled" else request.getfixturevalue("redis_server")
    servers: list[TcpServer] = []
    connections: list[Connection] = []

    def start(*options: str) -> Connection:
        servers.append(TcpServer(short_dir, *options, binary=binary))
        connections.append(Connection(servers[-1].url(), patience_s=0.3))
        return connections[-1]

    yield start
    for connection in connections:
        connection.close()
    for server in servers:
        server.kill()


def lead(connection: Connection) -> object:
    return connection.run("lead_cluster", [keys.LEADER, keys.MASTER], ["token", 1000, "here:1", "take"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--replicaof", "127.0.0.1 1"), "READONLY"),
        (("--min-replicas-to-write", "1"), "NOREPLICAS"),
    ],
)
def test_a_server_that_takes_no_writes_is_tried_again_and_then_told(
    start: Callable[..., Connection], options: tuple[str, ...], said: str
) -> None:
    connection = start(*options)
    with pytest.raises(ConnectionLost, match=rf"^Redis at .* cannot be reached: {said}"):
        connection.redis.set("a", "1")
    with pytest.raises(ConnectionLost, match=rf"^Redis at .* cannot be reached: .*{said}"):
        lead(connection)


def test_a_replica_that_has_lost_its_master_and_tells_nothing_is_tried_again_and_then_told(
    start: Callable[..., Connection],
) -> None:
    connection = start("--replicaof", "127.0.0.1 1", "--replica-serve-stale-data", "no")
    with pytest.raises(ConnectionLost, match=r"^Redis at .* cannot be reached: MASTERDOWN"):
        connection.read("GET", "a")


def test_a_script_goes_through_as_soon_as_the_server_is_a_master(start: Callable[..., Connection]) -> None:
    patient = Connection(start("--replicaof", "127.0.0.1 1").url, patience_s=20.0)
    timer = threading.Timer(0.3, lambda: other.redis.replicaof("NO", "ONE"))
    other = Connection(patient.url, patience_s=1.0)
    timer.start()
    assert lead(patient) == 1
    timer.join()
    other.close()
    patient.close()


def test_a_command_that_is_broken_off_since_its_server_was_demoted_is_asked_again(
    start: Callable[..., Connection],
) -> None:
    connection = start()
    other = Connection(connection.url, patience_s=1.0)
    timer = threading.Timer(0.2, lambda: other.redis.replicaof("127.0.0.1", "1"))
    timer.start()
    with pytest.raises(ConnectionLost, match=r"READONLY|UNBLOCKED"):
        connection.redis.blpop(["nothing"], 5)
    timer.join()
    other.close()


@pytest.mark.parametrize(
    "error",
    [
        "READONLY You can't write against a read only replica.",
        "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
        "LOADING Redis is loading the dataset in memory",
        # Redis 6.2 has that of a command in a script within another one
        "ERR Error running script (call to f_1): @user_script:1: @user_script: 1: -READONLY You can't write",
    ],
)
def test_these_errors_are_a_lost_connection(error: str) -> None:
    assert isinstance(_Parser.parse_error(error), RedisConnectionError)


def test_a_command_that_waits_while_the_master_dies_is_answered_by_the_next_one(short_dir: Path) -> None:
    with Sentinels(short_dir) as sentinels:
        connection = Connection(sentinels.url())
        before = sentinels.master
        timer = threading.Timer(0.3, before.kill)
        timer.start()
        began = time.monotonic()
        assert connection.redis.blpop(["nothing"], 2) is None
        assert time.monotonic() - began > 1
        timer.join()
        assert connection.redis.set("a", "1")
        with sentinels.client(sentinels.master) as direct:
            assert direct.get("a") == b"1"
        connection.close()
