"""A server that has reached its maxmemory: what deletes makes room, on Redis as on Valkey."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from disco_rq.errors import RedisFull
from disco_rq.machine.redisserver import PrivateServer, ServerBinary
from disco_rq.packing import Signer
from disco_rq.store import keys
from disco_rq.store.connection import Connection
from disco_rq.store.ending import Ending
from disco_rq.store.jobs import JobStore
from tests.redis.story import JOB, commit, everything, lead, started, submit


@pytest.fixture(params=["bundled", "debian"])
def full(request: pytest.FixtureRequest, short_dir: Path) -> Iterator[Connection]:
    """A job that has ended, with a large pack, on a server that is full."""
    binary = None
    if request.param == "debian":
        binary = ServerBinary(request.getfixturevalue("redis_server"), "PATH")
    with PrivateServer(short_dir, binary) as server:
        connection = Connection(server.url, patience_s=1.0)
        lead(connection)
        connection.redis.sadd(keys.NODES, "n1")
        submit(connection, maps=2)
        commit(connection, started(connection, "map:0"))
        Ending(connection).kill(JOB, "enough")
        connection.redis.setrange(keys.JobKeys(JOB).pack, 4 << 20, b"x")
        used = connection.redis.info("memory")["used_memory"]
        connection.redis.config_set("maxmemory", used - (2 << 20))  # without the pack it has room
        with pytest.raises(RedisFull):
            connection.redis.set("other", "x")
        yield connection
        connection.close()


def test_what_ended_is_cleaned_where_the_server_is_full(full: Connection) -> None:
    Ending(full).clean(JOB)

    assert not [key for key in everything(full) if JOB in key]
    full.redis.set("other", "there is room")


def test_what_ended_is_purged_where_the_server_is_full(full: Connection) -> None:
    JobStore(full).signed_spec(JOB, Signer(None, ""))  # which a purge reads before anything is deleted

    asked = Ending(full).purge(JOB)

    assert asked == ["n1"]
    assert not [key for key in everything(full) if JOB in key]
