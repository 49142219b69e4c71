"""A job of 50,000 tasks: what is shown of it first costs no more than with ten."""

from __future__ import annotations

from typing import Any

import pytest

from disco_rq.store import keys
from disco_rq.store.connection import Connection
from tests.redis.story import JOB, submit
from tests.web.visitor import Visitor

MANY = 50_000


@pytest.fixture
def big_job(connection: Connection) -> None:
    """All but a thousand of its maps are done, by ten slots; every hundredth has failed once."""
    submit(connection, maps=MANY, reduces=100)
    job = keys.JobKeys(JOB)
    done = MANY - 1_000
    for first in range(0, done, 5_000):
        pipe = connection.redis.pipeline(transaction=False)
        for i in range(first, min(first + 5_000, done)):
            worker, start = f"n{i % 5}.{i % 2}-00000a", 1_700_000_000_000 + i * 10
            record = (
                f'{{"node":"n{i % 5}","worker":"{worker}","started":{start},"ended":{start + i % 97},'
                f'"outcome":"done","entries":{i},"records":{i % 1000},"bytes":1000}}'
            )
            pipe.hset(job.tasks, f"map:{i}", f"done 1 n{i % 5} b {worker} {start}")
            pipe.hset(job.attempts, f"map:{i}/1", record)
            pipe.hset(job.outputs, f"map:{i}", f"disco://n{i % 5}/{JOB}/map-{i}.1")
            if i % 100 == 0:
                failure = (
                    '[{"node":"n1","kind":"data","at":1,"attempt":1,"message":"DataError: line 7","url":""}]'
                )
                pipe.hset(job.failures, f"map:{i}", failure)
        pipe.execute()
    counts: Any = {
        "map:done": done,
        "map:waiting": 1_000,
        "map:ms": done * 48,
        "map:started": 1_700_000_000_000,
    }
    connection.redis.hset(job.job, mapping=counts)


@pytest.mark.long
def test_no_scan_of_its_tasks_is_behind_its_page(api: Visitor, connection: Connection, big_job: None) -> None:
    connection.redis.config_resetstat()

    assert api.get(f"/jobs/{JOB}").status == 200
    assert api.job(JOB)["maps"]["done"] == MANY - 1_000
    assert len(api.job(JOB, "tasks", offset=40_000, limit=100)["tasks"]) == 100

    for what in ("events", "inputs", "results", "partitions"):
        api.job(JOB, what)
    api.get("overview")
    api.get("jobs")

    used: Any = connection.redis.info("commandstats")
    assert "cmdstat_hscan" not in used
    read: Any = connection.redis.info("stats")
    assert read["total_net_output_bytes"] < 200_000


@pytest.mark.long
@pytest.mark.parametrize(
    ("query", "total", "first"),
    [
        ({"sort": "duration", "order": "desc"}, MANY, "map:96"),
        ({"state": "waiting"}, 1_000, "map:49000"),
        ({"q": "map:4999"}, 11, "map:4999"),
    ],
)
def test_who_sorts_and_filters_it_reads_it_once_for_all_pages(
    api: Visitor, connection: Connection, big_job: None, query: dict[str, object], total: int, first: str
) -> None:
    found = api.job(JOB, "tasks", **query)
    assert (found["total"], found["tasks"][0]["task"]) == (total, first)
    connection.redis.config_resetstat()

    api.job(JOB, "tasks", **query, offset=100)

    used: Any = connection.redis.info("commandstats")
    assert "cmdstat_hscan" not in used


@pytest.mark.long
def test_its_timeline_can_be_looked_at(api: Visitor, connection: Connection, big_job: None) -> None:
    timeline = api.job(JOB, "timeline")

    bars = [bar for slot in timeline["slots"] for bar in slot["bars"]]
    assert timeline["merged"] is True
    assert len(timeline["slots"]) == 10
    assert len(bars) <= 2_100
    assert sum(bar["tasks"] for bar in bars) == MANY - 1_000


@pytest.mark.long
def test_its_failures_are_grouped(api: Visitor, connection: Connection, big_job: None) -> None:
    [group] = api.job(JOB, "failures")["groups"]

    assert (group["cause"], group["count"], len(group["tasks"])) == ("DataError: line 7", 490, 20)
