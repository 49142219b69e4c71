"""``adopt_tasks.lua``: committed tasks of one job count as those of a new one, once, or not at all."""

from __future__ import annotations

import json
from typing import Any

import pytest

from disco_rq.model import JobSpec, TaskId
from disco_rq.outputs.adopted import Adopted, Run, runs_of
from disco_rq.store import keys
from disco_rq.store.adoption import Adoption, Kept, adopt_call
from disco_rq.store.attempts import AttemptStore
from disco_rq.store.connection import Connection
from disco_rq.store.ending import Ending
from disco_rq.store.jobs import JobStore
from tests.redis.story import (
    JOB,
    OTHER,
    commit,
    everything,
    history,
    lead,
    lose,
    map_inputs,
    put,
    started,
    state_of,
    submit,
)

ADDRESS = f"disco://n1/{JOB}/map-{{}}.1"


@pytest.fixture
def dead(connection: Connection) -> Connection:
    """A job of three maps and a reduce, of which two maps are done."""
    lead(connection)
    submit(connection, maps=3, max_bad=5)
    for i in range(2):
        attempt = started(connection, f"map:{i}")
        assert put(connection, attempt, f"key{i}") == 0
        told: dict[str, Any] = {"counters": {"n": 2}, "partitions": {0: 100} if i else {}, "puts": 1}
        commit(connection, attempt, address=ADDRESS.format(i), digests=b"abcd", **told)
    Ending(connection).kill(JOB, "it was killed")
    return connection


def kept(*indices: int) -> list[Kept]:
    return [Kept(TaskId("map", i), TaskId("map", i), ADDRESS.format(i)) for i in indices]


def adopting(connection: Connection, *tasks: Kept, maps: int = 3, **options: Any) -> JobSpec:
    spec = JobSpec(OTHER, maps, 1, True, True, **{"max_bad": 5, **options})
    adoption = Adoption(JOB, tasks, told="it goes on")
    assert JobStore(connection).submit(spec, b"pack", map_inputs(maps), adoptions=[adoption])
    return spec


def test_what_is_adopted_counts_as_if_it_had_run(dead: Connection) -> None:
    adopting(dead, *kept(0, 1))

    store = JobStore(dead)
    record = store.record(OTHER)
    assert record.phase("map") == [1, 0, 2, 0]
    assert (record.count("kept"), record.count("map:entries"), record.count("map:records")) == (2, 6, 4)
    assert store.counters(OTHER) == {"n": 4}
    assert {key: store.oob_get(OTHER, key) for key in store.oob_list(OTHER)} == {"key0": "v", "key1": "v"}
    assert store.outputs(OTHER) == {TaskId("map", i): ADDRESS.format(i) for i in range(2)}
    assert [state_of(dead, f"map:{i}", OTHER) for i in range(3)] == ["done 1", "done 1", "waiting 0"]
    assert store.attempts(OTHER)[TaskId("map", 0), 1]["of"] == ADDRESS.format(0)
    assert history(dead)[-1] == "it goes on"
    assert f"2 maps of {JOB} are kept" in history(dead, OTHER)


@pytest.mark.parametrize(
    "more", [{"memory": 7, "repeats": 1.5}, {"worker": 'a"b'}, {"of": "disco://n2/x/map-9.3"}]
)
def test_a_record_that_has_other_words_counts_alike(dead: Connection, more: dict[str, Any]) -> None:
    attempts = keys.JobKeys(JOB).attempts
    record: Any = dead.redis.hget(attempts, "map:0/1")
    dead.redis.hset(attempts, "map:0/1", json.dumps(json.loads(record) | more))

    adopting(dead, *kept(0, 1))

    found = JobStore(dead).record(OTHER)
    assert (found.count("kept"), found.count("map:entries"), found.count("map:records")) == (2, 6, 4)
    of_first = JobStore(dead).attempts(OTHER)[TaskId("map", 0), 1]
    assert of_first["of"] == more.get("of", ADDRESS.format(0))


def test_a_copy_is_that_of_its_task(dead: Connection) -> None:
    first, second = kept(0, 1)

    adopting(dead, first, second._replace(copy="file:///copied"))

    assert list(JobStore(dead).outputs(OTHER).values()) == [ADDRESS.format(0), "file:///copied"]


def test_the_sizes_of_partitions_are_those_of_what_is_adopted_or_about_so(dead: Connection) -> None:
    adopting(dead, *kept(0, 1))
    assert AttemptStore(dead).written_for(OTHER, 0)[0] == 100
    Ending(dead).purge(OTHER)
    adopting(dead, *kept(1))
    assert AttemptStore(dead).written_for(OTHER, 0)[0] == 50


def test_asked_again_after_a_lost_answer_it_adopts_nothing_more(dead: Connection) -> None:
    spec = adopting(dead, *kept(0, 1))
    before = everything(dead)
    token = JobStore(dead).record(OTHER).fields["submission"]

    [answer] = dead.run_many([adopt_call(spec, token, Adoption(JOB, kept(0, 1)))])

    assert answer == -1
    assert everything(dead) == before


def test_of_another_submission_nothing_is_adopted(dead: Connection) -> None:
    spec = adopting(dead)
    before = everything(dead)

    assert dead.run(*adopt_call(spec, "another", Adoption("x", kept(0)))) is None
    assert everything(dead) == before


@pytest.mark.parametrize(
    "how", ["it is gone", "it is about to be purged", "its output is another", "it is not done"]
)
def test_what_is_not_as_the_client_saw_it_is_run(dead: Connection, how: str) -> None:
    redis = dead.redis
    if how == "it is gone":
        Ending(dead).purge(JOB)
    elif how == "it is about to be purged":
        redis.hset(keys.JobKeys(JOB).job, "going", 1)
    elif how == "its output is another":
        redis.hset(keys.JobKeys(JOB).outputs, "map:0", ADDRESS.format(0).replace(".1", ".2"))
    else:
        redis.hset(keys.JobKeys(JOB).tasks, "map:0", "waiting 1 - - - 0")

    adopting(dead, *kept(0))

    record = JobStore(dead).record(OTHER)
    assert (record.phase("map"), record.count("kept"), record.status) == ([3, 0, 0, 0], 0, "active")
    assert JobStore(dead).oob_list(OTHER) == []


def test_a_task_whose_oob_key_another_one_has_is_run(dead: Connection) -> None:
    twice = [*kept(0), Kept(TaskId("map", 2), TaskId("map", 0), ADDRESS.format(0))]

    adopting(dead, *twice)

    assert JobStore(dead).record(OTHER).phase("map") == [2, 0, 1, 0]


def test_a_task_of_a_version_that_kept_less_is_run(dead: Connection) -> None:
    dead.redis.hdel(keys.JobKeys(JOB).given, "map:0")

    adopting(dead, *kept(0, 1))

    assert JobStore(dead).oob_list(OTHER) == ["key1"]


def test_no_reduce_is_adopted_before_every_map_is_there(dead: Connection) -> None:
    reduce = TaskId("reduce", 0)
    dead.redis.hset(keys.JobKeys(JOB).tasks, "reduce:0", "done 1 n1 b w 0")
    dead.redis.hset(keys.JobKeys(JOB).outputs, "reduce:0", "disco://n1/x")
    record = {"put": 0, "node": "n1", "started": 1, "ended": 2, "entries": 1, "records": 1, "bytes": 1}
    dead.redis.hset(keys.JobKeys(JOB).attempts, "reduce:0/1", json.dumps(record))

    adopting(dead, *kept(0, 1), Kept(reduce, reduce, "disco://n1/x"))
    assert JobStore(dead).record(OTHER).phase("reduce") == [1, 0, 0, 0]
    Ending(dead).purge(OTHER)

    adopting(dead, *kept(0, 1), Kept(reduce, reduce, "disco://n1/x"), maps=2)
    assert JobStore(dead).record(OTHER).status == "ready"


def test_a_lost_output_of_another_job_is_no_failure_of_this_one(dead: Connection) -> None:
    adopting(dead, *kept(0, 1), maps=2)
    reader = started(dead, "reduce:0", job=OTHER)

    answer = lose(dead, ADDRESS.format(0), survives=0, reader=reader)

    assert answer == "lost"
    record = JobStore(dead).record(OTHER)
    assert (record.status, record.phase("map")) == ("active", [1, 0, 1, 0])


def test_files_stay_for_who_has_adopted_them_and_go_with_the_last(dead: Connection) -> None:
    dead.redis.sadd(keys.NODES, "n1")
    adopting(dead, *kept(0))

    Ending(dead).purge(JOB)
    assert JOB.encode() not in dead.redis.smembers(keys.purges("n1"))

    Ending(dead).purge(OTHER)
    assert JOB.encode() in dead.redis.smembers(keys.purges("n1"))
    assert not dead.redis.keys("disco:adopters:*") + dead.redis.keys("disco:sources:*")


def test_of_too_many_purged_jobs_the_files_go_but_for_results(dead: Connection) -> None:
    dead.redis.sadd(keys.NODES, "n1")
    adopting(dead, *kept(0))
    ending = Ending(dead)
    ending.purge(JOB)
    assert ending.let_go(1) == []

    assert ending.let_go(0) == [JOB]

    assert JOB.encode() in dead.redis.smembers(keys.purges("n1"))
    assert not dead.redis.exists(keys.SPARED, keys.adopters(JOB))
    ending.purge(OTHER)
    assert not dead.redis.keys("disco:sources:*")
    dead.redis.sadd(keys.adopters("results@20260101-000000-cccc"), f"!{OTHER}", "-")
    dead.redis.zadd(keys.SPARED, {"results@20260101-000000-cccc": 1})
    assert ending.let_go(0) == []


def test_tasks_that_follow_one_another_take_one_run() -> None:
    pairs = [(0, 0), (1, 1), (2, 5), (3, 6), (5, 7)]
    assert runs_of(pairs) == [Run(0, 0, 2), Run(2, 5, 2), Run(5, 7, 1)]
    spec = JobSpec(OTHER, 6, 1, True, True, details={"adopts": {JOB: {"map": runs_of(pairs)}}})
    adopted = Adopted(spec)

    for here, there in pairs:
        assert adopted.task_at(ADDRESS.format(there)) == TaskId("map", here)
    assert adopted.task_at(ADDRESS.format(2)) is None
    assert adopted.task_at(f"disco://n1/{JOB}/reduce-0.1") is None
    assert adopted.task_at(f"disco://n1/{OTHER}/map-2.1") == TaskId("map", 2)
