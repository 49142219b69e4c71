"""The planner's rules for what fails: where it is tried again, and when."""

from __future__ import annotations

from typing import Any

import pytest

from disco_rq.model import TaskId
from disco_rq.planning.stranded import stranded
from tests.unit.planning.test_planner import fail, finish, job, planner_with, told


def test_a_failed_task_goes_to_another_node_at_once() -> None:
    planner = planner_with(job(maps=1), nodes={"a": 2, "b": 1})
    [first] = planner.plan(0)
    assert first.node == "a"

    fail(planner, first, 1.0)

    assert told(planner.plan(1.0)) == ["job b map:0/2"]


def test_a_failed_task_waits_for_another_node_that_is_busy() -> None:
    planner = planner_with(job(maps=2), nodes={"a": 1, "b": 1})
    first, second = planner.plan(0)
    fail(planner, first, 1.0)
    assert planner.plan(100.0) == []

    finish(planner, [second])

    assert [one.node for one in planner.plan(101.0)] == ["b"]


def test_when_every_node_failed_it_the_one_of_longest_ago_takes_it_after_a_backoff() -> None:
    planner = planner_with(job(maps=1), nodes={"a": 1, "b": 1})
    [first] = planner.plan(0)
    fail(planner, first, 1.0)
    [second] = planner.plan(1.0)
    fail(planner, second, 2.0)

    assert planner.plan(2.1) == []
    assert told(planner.plan(10.0)) == [f"job {first.node} map:0/3"]


def test_a_backoff_holds_for_a_task_with_a_preferred_node_too() -> None:
    planner = planner_with(job(maps=1, preferred={0: "a"}))
    [first] = planner.plan(0)
    fail(planner, first, 1.0)

    assert planner.plan(1.1) == []
    assert told(planner.plan(10.0)) == ["job a map:0/2"]


def test_a_new_node_takes_what_all_others_failed() -> None:
    planner = planner_with(job(maps=1))
    fail(planner, planner.plan(0)[0], 1.0)
    planner.board.set_nodes({"a": 1, "b": 1}, [])

    assert told(planner.plan(10.0)) == ["job b map:0/2"]


def test_backoffs_grow_with_the_attempts_and_end() -> None:
    planner = planner_with(job(maps=1))
    now_s, waits = 0.0, []
    for _ in range(8):
        [one] = planner.plan(now_s)
        fail(planner, one, now_s)
        began_s = now_s
        while not (again := planner.plan(now_s)):
            now_s += 0.05
        waits.append(now_s - began_s)
        fail(planner, again[0], now_s, node="")
    assert 0.3 < waits[0] < 1.0
    assert waits[-1] > 5 > waits[1]
    assert max(waits) < 13


@pytest.mark.parametrize(("wish", "home"), [({"force_local": True}, "a"), ({"force_remote": True}, "b")])
def test_a_failure_on_the_only_node_that_the_job_allows_is_tried_there_again(
    wish: dict[str, Any], home: str
) -> None:
    """Other nodes live and never failed it, but may not take it: it must not wait for them for ever."""
    planner = planner_with(job(maps=1, preferred={0: home}, **wish), nodes={"a": 1, "b": 1})
    [first] = planner.plan(0)
    assert first.node == "a"

    fail(planner, first, 1.0)

    assert planner.plan(1.1) == []
    assert told(planner.plan(10.0)) == ["job a map:0/2"]


def test_a_release_excludes_nobody_and_waits_for_nothing() -> None:
    planner = planner_with(job(maps=1))
    fail(planner, planner.plan(0)[0], 1.0, node="")

    assert told(planner.plan(1.0)) == ["job a map:0/2"]


def test_events_that_come_twice_or_late_change_nothing() -> None:
    planner = planner_with(job(maps=1, reduces=0), nodes={"a": 1, "b": 1})
    [first] = planner.plan(0)
    fail(planner, first, 1.0)
    fail(planner, first, 1.0)
    [second] = planner.plan(2.0)
    fail(planner, first, 3.0)  # of an attempt that is over
    finish(planner, [first])
    assert planner.plan(4.0) == []
    assert not planner.board.jobs["job"].maps.complete

    finish(planner, [second, second])
    fail(planner, second, 5.0)

    assert planner.board.jobs["job"].maps.complete
    assert planner.plan(6.0) == []
    assert [node.batches for node in planner.board.nodes.values()] == [0, 0]
    assert planner.board.batches == {}


def test_batch_ids_are_words_that_rq_takes_and_never_come_twice() -> None:
    planner = planner_with(job("job@20260101-000000-aaaa", maps=2, reduces=0), nodes={"a": 2})
    assigned = planner.plan(0)
    fail(planner, assigned[0], 1.0, node="")
    assigned += planner.plan(1.0)

    assert [one.batch_id for one in assigned] == [
        "job-20260101-000000-aaaa_map-0_1-0",
        "job-20260101-000000-aaaa_map-1_1-0",
        "job-20260101-000000-aaaa_map-0_2-0",
    ]


def test_a_node_that_takes_no_tasks_of_its_own_accord_gets_none_until_it_says_so() -> None:
    planner = planner_with(job(maps=2), nodes={"a": 1, "b": 1})
    planner.board.set_nodes({"a": 1, "b": 1}, [], closed={"a": "its disk is full"})
    assert {assignment.node for assignment in planner.plan(0)} == {"b"}
    assert not planner.board.nodes["a"].keeps_queue

    planner.board.set_nodes({"a": 1, "b": 1}, [])
    assert {assignment.node for assignment in planner.plan(0)} == {"a"}


def test_a_node_that_refused_a_job_gets_no_task_of_it_until_it_is_another() -> None:
    planner = planner_with(job(maps=3), nodes={"a": 1})
    [given] = planner.plan(0)
    planner.board.task_refused(given.job, TaskId("map", 0), 1, "a", "another Python")

    assert planner.plan(100) == []
    assert "another Python" in stranded(planner.board)[given.job]
    planner.board.node_changed("a")
    assert stranded(planner.board) == {}
    assert [task for task, _ in planner.plan(100)[0].tasks] == [TaskId("map", 0)]
