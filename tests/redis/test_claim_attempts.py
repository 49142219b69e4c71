"""assign_tasks.lua, claim_attempts.lua and renew_leases.lua: who may run an attempt, and for how long."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from disco_rq.model import LEASE_S, TaskId
from disco_rq.store import keys
from disco_rq.store.attempts import AttemptStore
from disco_rq.store.cluster import ClusterStore
from disco_rq.store.connection import Connection
from disco_rq.store.ending import Ending
from disco_rq.store.jobs import JobStore
from tests.redis.story import (
    BATCH,
    JOB,
    assign,
    commit,
    everything,
    expire_lease,
    fail,
    lead,
    map_inputs,
    race,
    started,
    state_of,
    submit,
)


def lease_ms_left(connection: Connection, attempt: str) -> float:
    until = connection.redis.zscore(keys.LEASES, f"{JOB} {attempt}")
    assert isinstance(until, float)
    return until - ClusterStore(connection).now_ms()


# -- assign


def test_only_the_leader_assigns(connection: Connection) -> None:
    lead(connection)
    submit(connection)
    before = everything(connection)

    assert assign(connection, [(TaskId("map", 0), 1)], token="a paused old one") == -1

    assert everything(connection) == before


def test_with_no_leader_at_all_nobody_assigns(connection: Connection) -> None:
    lead(connection)
    submit(connection)
    connection.redis.delete(keys.LEADER)

    assert assign(connection, [(TaskId("map", 0), 1)]) == -1


@pytest.mark.parametrize("attempt", [0, 1, 2])
def test_the_number_of_an_attempt_is_never_given_again(connection: Connection, attempt: int) -> None:
    lead(connection)
    submit(connection)
    for number in (1, 2):
        fail(connection, started(connection, "map:0", number), "release")
    before = everything(connection)

    assert assign(connection, [(TaskId("map", 0), attempt)]) == 0

    assert everything(connection) == before
    assert assign(connection, [(TaskId("map", 0), 4)]) == 1  # one may be left out


def test_a_task_that_is_queued_running_or_done_is_not_assigned_again(connection: Connection) -> None:
    # given
    lead(connection)
    submit(connection, maps=3)
    assign(connection, [(TaskId("map", 0), 1)])
    started(connection, "map:1")
    commit(connection, started(connection, "map:2"))
    before = everything(connection)

    # when
    tasks = [(TaskId("map", i), number) for i in range(3) for number in (1, 2)]
    assert assign(connection, tasks, batch="another") == 0

    # then
    assert everything(connection) == before


def test_a_job_that_ended_gets_nothing_assigned(connection: Connection) -> None:
    lead(connection)
    submit(connection)
    Ending(connection).kill(JOB, "enough")
    before = everything(connection)

    assert assign(connection, [(TaskId("map", 0), 1)]) == 0

    assert everything(connection) == before


# -- claim


def test_a_claim_gives_the_inputs_and_starts_the_leases(connection: Connection) -> None:
    # given
    lead(connection)
    submit(connection, maps=2, reduces=1)
    tasks = [(TaskId("map", 0), 1), (TaskId("map", 1), 1), (TaskId("reduce", 0), 1)]
    assert assign(connection, tasks) == 3

    # when
    claimed = AttemptStore(connection).claim(JOB, BATCH, "w1", tasks)

    # then
    assert claimed == [*map_inputs(2), "reduce"]
    assert [state_of(connection, task) for task, _ in tasks] == ["running 1"] * 3
    record = JobStore(connection).record(JOB)
    assert record.phase("map") == [0, 2, 0, 0]
    assert record.phase("reduce") == [0, 1, 0, 0]
    assert LEASE_S * 1000 - 2000 < lease_ms_left(connection, "map:0 1") <= LEASE_S * 1000


def test_a_claim_asked_again_says_the_same_and_counts_once(connection: Connection) -> None:
    lead(connection)
    submit(connection)
    assign(connection, [(TaskId("map", 0), 1)])
    store = AttemptStore(connection)

    first = store.claim(JOB, BATCH, "w1", [(TaskId("map", 0), 1)])
    again = store.claim(JOB, BATCH, "w1", [(TaskId("map", 0), 1)])

    assert again == first == map_inputs(1)
    assert JobStore(connection).record(JOB).phase("map") == [1, 1, 0, 0]


@pytest.mark.parametrize(
    ("batch", "tasks"),
    [
        ("another-batch", [(TaskId("map", 0), 1)]),
        (BATCH, [(TaskId("map", 0), 2)]),
        (BATCH, [(TaskId("map", 1), 1)]),  # never assigned
        (BATCH, [(TaskId("map", 7), 1)]),  # no such task
    ],
)
def test_what_was_not_promised_is_not_given(
    connection: Connection, batch: str, tasks: list[tuple[TaskId, int]]
) -> None:
    lead(connection)
    submit(connection)
    assign(connection, [(TaskId("map", 0), 1)])
    before = everything(connection)

    assert AttemptStore(connection).claim(JOB, batch, "w1", tasks) == [None]

    assert everything(connection) == before


@pytest.mark.parametrize("job", [JOB, "nosuch@20260101-000000-zzzz"])
def test_a_job_that_is_over_or_gone_is_not_claimed(connection: Connection, job: str) -> None:
    lead(connection)
    submit(connection)
    assign(connection, [(TaskId("map", 0), 1)])
    Ending(connection).kill(JOB, "enough")
    before = everything(connection)

    assert AttemptStore(connection).claim(job, BATCH, "w1", [(TaskId("map", 0), 1)]) == [None]

    assert everything(connection) == before


def test_of_racing_workers_exactly_one_claims_each_task(connect: Callable[[], Connection]) -> None:
    # given a batch that RQ handed out to several workers
    clients = [connect() for _ in range(4)]
    lead(clients[0])
    submit(clients[0], maps=20)
    tasks = [(TaskId("map", i), 1) for i in range(20)]
    assign(clients[0], tasks)

    # when each claims task by task
    answers = race(
        clients,
        lambda client, n: [AttemptStore(client).claim(JOB, BATCH, f"w{n}", [task])[0] for task in tasks],
    )

    # then
    for claimed in zip(*answers, strict=True):
        assert sum(entry is not None for entry in claimed) == 1
    assert JobStore(clients[0]).record(JOB).phase("map") == [0, 20, 0, 0]


# -- renew


def test_a_renewal_prolongs_the_slot_and_the_running_attempts(connection: Connection) -> None:
    lead(connection)
    submit(connection)
    attempt = started(connection, "map:0")
    expire_lease(connection, attempt)

    lost = AttemptStore(connection).renew("n1", "w1", JOB, [(TaskId("map", 0), 1)])

    assert lost == set()
    assert lease_ms_left(connection, "map:0 1") > LEASE_S * 1000 - 2000
    store = ClusterStore(connection)
    assert store.slots(store.now_ms()) == {"n1": 1}


def test_a_slot_that_was_not_renewed_is_forgotten(connection: Connection) -> None:
    AttemptStore(connection).renew("n1", "w1")
    store = ClusterStore(connection)

    assert store.slots(store.now_ms() + round(LEASE_S * 1000) + 1) == {}
    assert connection.redis.zcard(keys.SLOTS) == 0


def test_a_renewal_tells_what_is_lost_and_prolongs_none_of_it(connection: Connection) -> None:
    # given one of each
    lead(connection)
    submit(connection, maps=5)
    fail(connection, started(connection, "map:0"))  # waits again
    fail(connection, started(connection, "map:1"))
    started(connection, "map:1", 2, worker="w2")  # overtaken
    assign(connection, [(TaskId("map", 2), 1)])  # not claimed yet
    commit(connection, started(connection, "map:3"))
    started(connection, "map:4")

    # when
    lost = AttemptStore(connection).renew("n1", "w1", JOB, [(TaskId("map", i), 1) for i in range(5)])

    # then
    assert lost == {TaskId("map", 0), TaskId("map", 1)}
    leases = connection.redis.zrange(keys.LEASES, 0, -1)
    assert leases == [f"{JOB} map:1 2".encode(), f"{JOB} map:4 1".encode()]


def test_everything_of_a_dead_job_is_lost(connection: Connection) -> None:
    lead(connection)
    submit(connection)
    attempt = started(connection, "map:0")
    expire_lease(connection, attempt)
    Ending(connection).kill(JOB, "enough")

    tasks = [TaskId("map", 0), TaskId("map", 1)]
    assert AttemptStore(connection).renew("n1", "w1", JOB, [(task, 1) for task in tasks]) == set(tasks)
    assert lease_ms_left(connection, "map:0 1") < 0
