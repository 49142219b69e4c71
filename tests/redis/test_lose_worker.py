"""A supervisor tells which of its workers have died."""

from __future__ import annotations

from disco_rq.store.cluster import ClusterStore
from disco_rq.store.connection import Connection
from disco_rq.store.nodes import NodeStore
from tests.redis.story import lead, started, submit


def lost(connection: Connection) -> list[str]:
    return [str(lease.task) for lease, _ in ClusterStore(connection).expired_leases(10)]


def test_the_attempts_of_a_worker_that_died_are_lost_at_once(connection: Connection) -> None:
    lead(connection)
    submit(connection)
    started(connection, "map:0", node="db", worker="db.0-ff00ff")
    started(connection, "map:1", node="db", worker="db.1-ff00ff")

    NodeStore(connection, "db").lose_worker("db.0-")

    assert lost(connection) == ["map:0"]


def test_the_workers_of_a_node_with_a_similar_name_are_not_meant(connection: Connection) -> None:
    lead(connection)
    submit(connection)
    started(connection, "map:0", node="db.0-a", worker="db.0-a.0-ff00ff")

    NodeStore(connection, "db").lose_worker("db.0-")

    assert lost(connection) == []
