"""What the API sums up of a job's tasks: the skew of its partitions, its failures by cause."""

from __future__ import annotations

from disco_rq.store.connection import Connection
from tests.redis.story import JOB, commit, fail, started, submit
from tests.web.visitor import Visitor


def test_partitions_tell_the_skew(api: Visitor, connection: Connection) -> None:
    submit(connection, maps=2, reduces=4)
    commit(connection, started(connection, "map:0"), partitions={0: 10, 1: 900})
    commit(connection, started(connection, "map:1"), partitions={0: 10, 3: 80})

    told = api.job(JOB, "partitions")

    assert [entry["bytes"] for entry in told["partitions"]] == [20, 900, 0, 80]
    assert [entry["skewed"] for entry in told["partitions"]] == [False, True, False, False]
    assert (told["total"], told["mean"]) == (1000, 250)


def test_failures_of_one_cause_are_one_group(api: Visitor, connection: Connection) -> None:
    submit(connection, maps=5)
    for number in range(3):
        where = f"(in entry {number} of /data/{number}.txt)"
        message = f"ValueError: bad line {number} {where}"
        fail(connection, started(connection, f"map:{number}"), message=message, traceback=f"of {number}")
    fail(connection, started(connection, "map:4", node="n2"), "fatal", message="KeyError: 1", traceback="end")

    told = api.job(JOB, "failures")

    values, key = told["groups"]
    assert (values["cause"], values["count"], values["task_count"]) == ("ValueError: bad line #", 3, 3)
    assert values["tasks"] == ["map:0", "map:1", "map:2"]
    assert values["example"]["traceback"] == "of 0"
    assert "/data/0.txt" in values["example"]["message"]
    assert (key["kind"], key["fatal"], key["nodes"], key["example"]["traceback"]) == (
        "fatal",
        True,
        ["n2"],
        "end",
    )
    assert told["failed"] == 4
