"""fix_ranges.lua: the ranges of a job's keys are fixed once, and a map that went by others does not count."""

from __future__ import annotations

from disco_rq.model import StageResult
from disco_rq.store import keys
from disco_rq.store.attempts import AttemptStore, Commit
from disco_rq.store.connection import Connection
from disco_rq.store.ending import Ending
from disco_rq.store.ranges import RangeStore
from tests.redis.story import JOB, lead, race, started, submit


def test_the_first_ranges_are_everybodys(connection: Connection) -> None:
    lead(connection)
    submit(connection)
    store = RangeStore(connection, JOB)
    assert store.ranges() is None
    assert [store.fix(b"one", "1"), store.fix(b"two", "2")] == [b"one", b"one"]
    assert store.ranges() == b"one"


def test_of_many_at_once_one_wins(connection: Connection) -> None:
    lead(connection)
    submit(connection)
    clients = [Connection(connection.url) for _ in range(4)]
    fixed = race(clients, lambda client, n: RangeStore(client, JOB).fix(f"ranges {n}".encode(), str(n)))
    assert len(set(fixed)) == 1
    assert fixed[0] in [f"ranges {n}".encode() for n in range(4)]


def test_a_job_that_is_over_or_gone_gets_none(connection: Connection) -> None:
    lead(connection)
    store = RangeStore(connection, JOB)
    assert store.fix(b"one", "1") is None
    submit(connection)
    Ending(connection).kill(JOB, "killed")
    assert store.fix(b"one", "1") is None
    assert not connection.redis.exists(keys.JobKeys(JOB).ranges)


def test_a_map_that_went_by_ranges_that_redis_has_lost_does_not_count(connection: Connection) -> None:
    # given a server that has never heard of the ranges that this map was given
    lead(connection)
    submit(connection)
    attempt = started(connection, "map:0")
    store = AttemptStore(connection)

    def commit(ranges: str) -> list[str]:
        result = StageResult(entries_in=1, records_out=1, bytes_out=1, ranges=ranges)
        return store.commit([Commit(attempt, "disco://n1/out", 1, result)])

    assert commit("1") == ["incomplete"]

    # when others were fixed meanwhile, then it does not count either; by those it does
    RangeStore(connection, JOB).fix(b"two", "2")
    assert commit("1") == ["incomplete"]
    assert commit("2") == ["ok"]
