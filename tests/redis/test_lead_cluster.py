"""lead_cluster.lua and resign_lead.lua: one master leads, as long as it renews its lease."""

from __future__ import annotations

from collections.abc import Callable

from disco_rq.store import keys
from disco_rq.store.attempts import LEASE_MS
from disco_rq.store.connection import Connection
from disco_rq.store.lead import Lead
from tests.redis.story import everything, lead, race, wait_until


def test_of_racing_masters_exactly_one_leads(connect: Callable[[], Connection]) -> None:
    clients = [connect() for _ in range(4)]

    leads = race(clients, lambda client, n: Lead(client, f"master-{n}").take(f"host-{n}:1"))

    assert sorted(leads) == [False, False, False, True]
    winner = leads.index(True)
    assert everything(clients[0]) == {
        keys.LEADER: f"master-{winner}".encode(),
        keys.MASTER: f"host-{winner}:1".encode(),
    }


def test_the_leader_stays_leader_and_renews_its_lease(connection: Connection) -> None:
    store = lead(connection, "one")
    connection.redis.pexpire(keys.LEADER, 500)

    assert store.keep("new:2")

    left: int = connection.redis.pttl(keys.LEADER)
    assert LEASE_MS - 2000 < left <= LEASE_MS
    assert connection.redis.get(keys.MASTER) == b"new:2"


def test_another_one_changes_nothing_while_the_lease_lasts(connection: Connection) -> None:
    lead(connection, "one")
    before = everything(connection)
    other = Lead(connection, "two")

    assert not other.take("two:2")
    other.resign()

    assert everything(connection) == before


def test_a_lease_that_ran_out_is_taken_over_and_the_old_leader_is_told(connection: Connection) -> None:
    old = lead(connection, "one")
    connection.redis.pexpire(keys.LEADER, 1)
    new = Lead(connection, "two")

    wait_until(lambda: new.take("two:2"))

    assert not old.take("one:1")
    old.resign()
    assert connection.redis.get(keys.LEADER) == b"two"


def test_a_lease_that_ran_out_is_not_kept_only_taken_anew(connection: Connection) -> None:
    """Another one may have led since, and be gone again: all must be read anew."""
    store = lead(connection, "one")
    connection.redis.delete(keys.LEADER)

    assert not store.keep("one:1")
    assert not connection.redis.exists(keys.LEADER)
    assert store.take("one:1")
    assert store.keep("one:1")


def test_a_leader_that_resigns_is_followed_at_once(connection: Connection) -> None:
    lead(connection, "one").resign()

    assert Lead(connection, "two").take("two:2")
