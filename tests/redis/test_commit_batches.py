"""commit_attempts.lua of several attempts in one call: each fares as it would alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from disco_rq.model import OOB_BYTES, StageResult, TaskId
from disco_rq.store import keys
from disco_rq.store.attempts import Attempt, AttemptStore, Commit
from disco_rq.store.cluster import ClusterStore, partition_sizes
from disco_rq.store.connection import Connection
from disco_rq.store.jobs import JobStore
from disco_rq.store.nodes import node_about
from tests.redis.story import (
    JOB,
    OTHER,
    assign,
    commit,
    control_kinds,
    copy_of,
    everything,
    history,
    lead,
    lose,
    put,
    staged_keys,
    started,
    submit,
)


def commit_of(attempt: Attempt, n: int, puts: int = 0) -> Commit:
    """With figures that no other ``n`` has."""
    result = StageResult(
        10**n,
        2 * 10**n,
        3 * 10**n,
        counters={"all": 10**n, f"only {n}": 2**62 + n},
        partition_bytes={0: 4 * 10**n, n: 5},
    )
    address = f"disco://{attempt.node}/{attempt.job}/{attempt}"
    return Commit(attempt, address, 7 * 10**n, result, puts)


def every_fate(connection: Connection) -> list[Commit]:
    """Attempts on one node of which some count, some did, and some never will."""
    lead(connection)
    submit(connection, maps=9)
    plain = started(connection, "map:0")
    putting = started(connection, "map:1")
    put(connection, putting, "a")
    put(connection, putting, "b", "text", count=2)
    again = started(connection, "map:2")
    commit(connection, again, counters={"all": 5})
    theirs = replace(started(connection, "map:3"), worker="another")
    original = started(connection, "map:4")
    put(connection, original, "from the original")
    copy = copy_of(connection, original)
    put(connection, copy, "from the copy")
    slower = started(connection, "map:5", node="n2", worker="w2")
    put(connection, slower, "from the slower one")
    faster = copy_of(connection, slower, node="n1", worker="w1")
    put(connection, faster, "from the faster one")
    lost = started(connection, "map:6")
    put(connection, lost, "before")
    commit(connection, lost, address="disco://n1/lost", counters={"all": 1}, partitions={0: 9})
    lose(connection, "disco://n1/lost", task="map:6")
    remade = started(connection, "map:6", 2)
    put(connection, remade, "before")
    put(connection, remade, "not before", count=2)
    assign(connection, [(TaskId("map", 7), 1)])
    queued = Attempt(JOB, TaskId("map", 7), 1, "n1", "-")
    incomplete = started(connection, "map:8")
    put(connection, incomplete, "kept")
    attempts = [plain, putting, again, theirs, original, faster, remade, queued, incomplete]
    puts = {putting: 2, original: 1, faster: 1, remade: 2, incomplete: 2}
    return [commit_of(attempt, n, puts.get(attempt, 0)) for n, attempt in enumerate(attempts)]


FATES = ["ok", "ok", "ok", "overtaken", "ok", "ok", "ok", "overtaken", "incomplete"]


def left_by(connection: Connection) -> dict[str, Any]:
    """All that Redis holds, without what tells the time, or in how many entries the master was told."""
    jobs, store = JobStore(connection), ClusterStore(connection)
    found = everything(connection)
    timed = (":events", ":tasks", ":copies", ":attempts", ":failures")
    for key in [keys.CONTROL, keys.LEASES, keys.JOBS, *(key for key in found if key.endswith(timed))]:
        del found[key]
    record = found[keys.JobKeys(JOB).job]
    for name in [
        name for name in record if name.endswith((b"started", b"ended", b"submitted", b"submission"))
    ]:
        del record[name]
    return {
        "keys": found,
        "leases": sorted(connection.redis.zrange(keys.LEASES, 0, -1)),  # scores may be equal
        "attempts": {attempt: told["outcome"] for attempt, told in jobs.attempts(JOB).items()},
        "states": [
            tuple((state.state, state.attempt, state.node, state.worker) if state else None for state in pair)
            for pair in store.states([(JOB, TaskId("map", i)) for i in range(9)])
        ],
        "history": history(connection),
        "told": store.read_control("0-0", 1)[1],
        "partitions": partition_sizes(connection, JOB),
        "node": node_about(connection, "n1"),
    }


def test_attempts_that_are_committed_together_fare_as_if_alone(connection: Connection) -> None:
    # given each commit a call of its own
    commits = every_fate(connection)
    store = AttemptStore(connection)
    assert [store.commit([one])[0] for one in commits] == FATES
    alone = left_by(connection)
    # when the same story ends with one call
    connection.redis.flushall()
    assert store.commit(every_fate(connection)) == FATES
    # then nobody can tell
    assert left_by(connection) == alone
    assert JobStore(connection).counters(JOB)["only 1"] == 2**62 + 1  # exact, where a float is not
    assert partition_sizes(connection, JOB) == {0: 5 + 40 + 40_000 + 400_000 + 9, 1: 5, 4: 5, 5: 5}
    assert staged_keys(connection) == [keys.JobKeys(JOB).staged(TaskId("map", 8))]


def test_a_batch_that_is_committed_again_changes_nothing(connection: Connection) -> None:
    commits = every_fate(connection)
    store = AttemptStore(connection)
    assert store.commit(commits) == FATES
    before = everything(connection)

    assert store.commit(commits) == FATES

    assert everything(connection) == before


def test_an_attempt_that_is_named_twice_counts_once(connection: Connection) -> None:
    lead(connection)
    submit(connection, maps=2)
    one = commit_of(started(connection, "map:0"), 1)

    assert AttemptStore(connection).commit([one, one]) == ["ok", "ok"]

    assert JobStore(connection).record(JOB).phase("map") == [1, 0, 1, 0]
    assert JobStore(connection).counters(JOB)["all"] == 10


def test_commits_of_several_jobs_phases_and_nodes_are_answered_in_order(connection: Connection) -> None:
    lead(connection)
    submit(connection, maps=2)
    submit(connection, maps=1, name=OTHER)
    attempts = [
        started(connection, "map:0"),
        started(connection, "map:0", job=OTHER),
        started(connection, "map:1", node="n2", worker="w2"),
        started(connection, "reduce:0"),
        replace(started(connection, "reduce:0", job=OTHER), worker="another"),
    ]
    commits = [commit_of(attempt, n) for n, attempt in enumerate(attempts)]

    assert AttemptStore(connection).commit(commits) == ["ok", "ok", "ok", "ok", "overtaken"]

    jobs = JobStore(connection)
    assert jobs.outputs(JOB) == {one.attempt.task: one.address for one in commits if one.attempt.job == JOB}
    assert jobs.outputs(OTHER) == {TaskId("map", 0): commits[1].address}
    assert [node_about(connection, node)["done"] for node in ("n1", "n2")] == ["3", "1"]


@pytest.mark.parametrize("last", [1, 150], ids="{} with the last one".format)
def test_the_last_of_a_batch_ends_the_phase_and_the_job(connection: Connection, last: int) -> None:
    lead(connection)
    submit(connection, maps=150, reduces=0)
    attempts = [started(connection, f"map:{i}") for i in range(150)]

    assert AttemptStore(connection).commit(plain(attempts[:-last])) == ["ok"] * (150 - last)
    assert JobStore(connection).record(JOB).status == "active"
    assert AttemptStore(connection).commit(plain(attempts[-last:])) == ["ok"] * last

    assert JobStore(connection).record(JOB).status == "ready"
    assert history(connection)[-2:] == ["Map phase done", "Job is ready"]
    assert control_kinds(connection) == ["submitted", *["done"] * 150, "ended"]


def plain(attempts: Sequence[Attempt]) -> list[Commit]:
    return [Commit(attempt, "disco://n1/out", 1, StageResult(1, 1, 1)) for attempt in attempts]


def test_attempts_that_have_put_much_are_committed_in_several_transitions(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead(connection)
    submit(connection, maps=5)
    attempts = [started(connection, f"map:{i}") for i in range(5)]
    much = OOB_BYTES * 2 // 5
    commits = [replace(commit_of(attempt, i), put_bytes=much) for i, attempt in enumerate(attempts)]
    sizes: list[int] = []
    run_many = connection.run_many

    def counted(calls: Any) -> list[Any]:
        answers = run_many(calls)
        sizes.extend(map(len, answers))
        return answers

    monkeypatch.setattr(connection, "run_many", counted)

    assert AttemptStore(connection).commit(commits) == ["ok"] * 5

    assert sizes == [2, 2, 1]
    assert JobStore(connection).record(JOB).phase("map") == [0, 0, 5, 0]


def test_what_a_task_may_put_is_committed_within_100_ms(connection: Connection) -> None:
    lead(connection)
    submit(connection, maps=1)
    attempt = started(connection, "map:0")
    for i in range(16):
        assert AttemptStore(connection).put(attempt, f"k{i}", b"b" + bytes((1 << 20) - 100), i + 1) == 0
    before: Any = connection.redis.info("cpu")

    assert commit(connection, attempt) == "ok"

    after: Any = connection.redis.info("cpu")
    used_s = sum(after[of] - before[of] for of in ("used_cpu_sys", "used_cpu_user"))
    assert used_s < 0.1  # its own time: what else this machine does is no matter
