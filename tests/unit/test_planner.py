"""The planner's rules, each as a short story of what happened and what it assigns then."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from disco_rq.model import TaskId
from disco_rq.planner import BATCH_MAX, Assignment, JobState, Planner
from disco_rq.stranded import stranded


def planner_with(*jobs: JobState, nodes: dict[str, int] | None = None) -> Planner:
    planner = Planner()
    planner.set_nodes(nodes or {"a": 1}, [])
    for job in jobs:
        planner.add_job(job)
    return planner


def job(name: str = "job", maps: int = 4, reduces: int = 1, **options: Any) -> JobState:
    return JobState(name, maps, reduces, **options)


def told(assignments: list[Assignment]) -> list[str]:
    """``job node task/attempt …`` for each assignment."""
    return [
        f"{one.job} {one.node} " + " ".join(f"{task}/{attempt}" for task, attempt in one.tasks)
        for one in assignments
    ]


def finish(planner: Planner, assignments: list[Assignment], duration_s: float | None = None) -> None:
    for one in assignments:
        for task, attempt in one.tasks:
            planner.task_done(one.job, task, attempt, duration_s)


def fail(planner: Planner, one: Assignment, now_s: float, node: str | None = None) -> None:
    for task, attempt in one.tasks:
        planner.task_failed(one.job, task, attempt, one.node if node is None else node, now_s)


def test_each_slot_gets_a_batch_and_none_ahead_before_a_duration_is_known() -> None:
    planner = planner_with(job(maps=10), nodes={"a": 2, "b": 1})

    assert Counter(one.node for one in planner.plan(0)) == {"a": 2, "b": 1}
    assert planner.plan(1) == []


def test_short_tasks_have_one_batch_ahead_and_long_ones_none() -> None:
    for duration_s, batches in ((0.01, 2), (5.0, 1)):
        planner = planner_with(job(maps=100))
        finish(planner, planner.plan(0), duration_s)

        assert len(planner.plan(1)) == batches


def test_a_batch_holds_about_a_tenth_of_a_second_of_work() -> None:
    for duration_s, size in ((0.01, 10), (0.05, 2), (0.2, 1), (0.000001, BATCH_MAX)):
        planner = planner_with(job(maps=10_000))
        finish(planner, planner.plan(0), duration_s)

        assert len(planner.plan(1)[0].tasks) == size


def test_the_last_tasks_are_spread_over_all_slots() -> None:
    planner = planner_with(job(maps=9), nodes={"a": 2, "b": 2})
    finish(planner, planner.plan(0), 0.001)

    assert [len(one.tasks) for one in planner.plan(1)[:4]] == [1, 1, 1, 1]


def test_the_emptiest_node_is_served_first() -> None:
    planner = planner_with(job(maps=3), nodes={"a": 1, "b": 4})
    planner.task_assigned("job", TaskId("map", 0), 1, node="b", batch_id="x", now_s=0)

    assert [one.node for one in planner.plan(0)] == ["a", "b"]


def test_the_reduces_wait_for_every_map() -> None:
    planner = planner_with(job(maps=2, reduces=2), nodes={"a": 4})
    maps = planner.plan(0)
    finish(planner, maps[:1])
    assert planner.plan(1) == []

    finish(planner, maps[1:])

    assert told(planner.plan(2)) == ["job a reduce:0/1", "job a reduce:1/1"]


def test_the_reduce_that_has_most_to_do_goes_first() -> None:
    planner = planner_with(job(maps=1, reduces=4))
    assert not planner.wants_sizes("job")
    finish(planner, planner.plan(0))
    assert planner.wants_sizes("job")

    planner.sizes_known("job", {1: 5, 2: 700, 3: 5})

    assert not planner.wants_sizes("job")
    order = []
    for now_s in range(4):
        assigned = planner.plan(now_s)
        order += [one.tasks[0][0].index for one in assigned]
        finish(planner, assigned, 5.0)
    assert order == [2, 1, 3, 0]


def test_without_maps_there_are_no_sizes_and_the_reduces_go_in_order() -> None:
    planner = planner_with(job(maps=0, reduces=2), nodes={"a": 2})

    assert not planner.wants_sizes("job")
    assert told(planner.plan(0)) == ["job a reduce:0/1", "job a reduce:1/1"]


def test_a_map_whose_output_is_lost_runs_again_elsewhere_and_holds_the_reduces_back() -> None:
    planner = planner_with(job(maps=1, reduces=2), nodes={"a": 1})
    finish(planner, planner.plan(0))
    reduces = planner.plan(1)
    planner.set_nodes({"a": 1, "b": 1}, [])
    for _ in range(2):  # told twice by two reduces, or read again
        planner.output_lost("job", TaskId("map", 0), 1, "a", 2.0)
    fail(planner, reduces[0], 2.0, node="")

    assert told(planner.plan(3)) == ["job b map:0/2"]


# -- several jobs


def test_a_big_job_does_not_hold_up_a_small_one() -> None:
    planner = planner_with(job("big", 50_000, submitted_ms=1), nodes={"a": 2})
    running = planner.plan(0)
    planner.add_job(job("small", 2, submitted_ms=2))

    finish(planner, running[:1], 5.0)

    assert told(planner.plan(1)) == ["small a map:0/1"]


def test_jobs_take_turns_where_there_are_fewer_slots_than_jobs() -> None:
    planner = planner_with(*(job(name, 10, submitted_ms=i) for i, name in enumerate("xyz")))

    order = []
    for now_s in range(9):
        assigned = planner.plan(now_s)
        order += [one.job for one in assigned]
        finish(planner, assigned, 5.0)

    assert order == list("xyz") * 3


def test_the_job_with_the_fewest_batches_under_way_goes_first() -> None:
    planner = planner_with(
        *(job(name, 10, submitted_ms=i) for i, name in enumerate("xyz")), nodes={"a": 3, "b": 3}
    )

    assert Counter(one.job for one in planner.plan(0)) == {"x": 2, "y": 2, "z": 2}


def test_a_higher_priority_goes_first() -> None:
    planner = planner_with(
        job("low", 5, submitted_ms=1), job("high", 1, priority=1, submitted_ms=2), nodes={"a": 2}
    )

    assert [one.job for one in planner.plan(0)] == ["high", "low"]


def test_max_cores_is_never_exceeded_and_leaves_the_rest_to_others() -> None:
    planner = planner_with(job("x", 10, max_cores=2, submitted_ms=1), nodes={"a": 4})
    assert len(planner.plan(0)) == 2

    planner.add_job(job("y", 10, submitted_ms=2))
    assert [one.job for one in planner.plan(1)] == ["y", "y"]


def test_a_paused_job_starts_nothing() -> None:
    planner = planner_with(job("x", paused=True), job("y", maps=1, reduces=0))

    assert [one.job for one in planner.plan(0)] == ["y"]


def test_a_job_that_ended_frees_its_slots_and_its_late_events_are_ignored() -> None:
    planner = planner_with(job("x", 10))
    assigned = planner.plan(0)
    planner.add_job(job("y", 10))
    assert planner.plan(1) == []

    planner.remove_job("x")
    planner.remove_job("x")
    finish(planner, assigned)
    fail(planner, assigned[0], 2)

    assert [one.job for one in planner.plan(3)] == ["y"]
    assert planner.nodes["a"].batches == 1


# -- nodes


def test_without_a_node_nothing_is_assigned_and_with_one_it_goes_on() -> None:
    planner = planner_with(job())
    planner.set_nodes({}, [])
    assert planner.plan(0) == []

    planner.set_nodes({"b": 1}, [])

    assert [one.node for one in planner.plan(1)] == ["b"]


def test_a_blacklisted_node_gets_nothing() -> None:
    planner = planner_with(job(maps=10))
    planner.set_nodes({"a": 4, "b": 1}, ["a"])

    assert [one.node for one in planner.plan(0)] == ["b"]


def test_a_node_that_comes_back_still_has_its_batches() -> None:
    planner = planner_with(job(maps=10), nodes={"a": 2})
    planner.plan(0)
    planner.set_nodes({}, [])
    planner.set_nodes({"a": 2}, [])

    assert planner.plan(1) == []


def test_a_task_goes_to_the_node_that_has_its_input() -> None:
    planner = planner_with(job(maps=3, preferred={0: "c", 1: "b", 2: "a"}), nodes={"a": 1, "b": 1, "c": 1})

    assert sorted(told(planner.plan(0))) == ["job a map:2/1", "job b map:1/1", "job c map:0/1"]


def test_an_input_far_away_is_better_than_nothing_to_do() -> None:
    planner = planner_with(job(maps=2, preferred={0: "a", 1: "a"}), nodes={"a": 1, "b": 1})

    assert sorted(told(planner.plan(0))) == ["job a map:0/1", "job b map:1/1"]


def test_force_local_waits_for_the_node_of_the_input() -> None:
    planner = planner_with(job(maps=1, force_local=True, preferred={0: "b"}))
    assert planner.plan(0) == []

    planner.set_nodes({"a": 1, "b": 1}, [])
    assert told(planner.plan(1)) == ["job b map:0/1"]


def test_force_remote_takes_any_other_node() -> None:
    planner = planner_with(job(maps=1, force_remote=True, preferred={0: "a"}))
    assert planner.plan(0) == []

    planner.set_nodes({"a": 1, "b": 1}, [])
    assert told(planner.plan(1)) == ["job b map:0/1"]


def test_a_job_that_no_live_node_may_run_is_told_what_it_waits_for() -> None:
    planner = planner_with(
        job("stays", maps=2, force_local=True, preferred={0: "b", 1: "c"}),
        job("leaves", maps=1, force_remote=True, preferred={0: "a"}),
        job("anywhere"),
    )
    waits = {
        "stays": "force_local: the job waits for b and c",
        "leaves": "force_remote: the job waits for another node than a",
    }
    assert stranded(planner) == waits

    # not while something of it can be done
    planner.set_nodes({"a": 1, "b": 1}, [])
    assert stranded(planner) == {}
    planner.set_nodes({"a": 1, "b": 1}, ["b"])
    assert stranded(planner) == waits

    planner.set_nodes({"a": 1}, ["a"])
    assert stranded(planner) == dict.fromkeys(
        ("stays", "leaves", "anywhere"), "No node takes tasks (a: blacklisted): the job waits for one"
    )


# -- failures


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
    planner.set_nodes({"a": 1, "b": 1}, [])

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
    assert not planner.jobs["job"].maps.complete

    finish(planner, [second, second])
    fail(planner, second, 5.0)

    assert planner.jobs["job"].maps.complete
    assert planner.plan(6.0) == []
    assert [node.batches for node in planner.nodes.values()] == [0, 0]
    assert planner.batches == {}


def test_batch_ids_are_words_that_rq_takes_and_never_come_twice() -> None:
    planner = planner_with(job("job@20260101-000000-aaaa", maps=2, reduces=0), nodes={"a": 2})
    assigned = planner.plan(0)
    fail(planner, assigned[0], 1.0, node="")
    assigned += planner.plan(1.0)

    assert [one.batch for one in assigned] == [
        "job-20260101-000000-aaaa_map-0_1-0",
        "job-20260101-000000-aaaa_map-1_1-0",
        "job-20260101-000000-aaaa_map-0_2-0",
    ]


def test_a_node_that_takes_no_tasks_of_its_own_accord_gets_none_until_it_says_so() -> None:
    planner = planner_with(job(maps=2), nodes={"a": 1, "b": 1})
    planner.set_nodes({"a": 1, "b": 1}, [], closed={"a": "its disk is full"})
    assert {assignment.node for assignment in planner.plan(0)} == {"b"}
    assert not planner.nodes["a"].keeps_queue

    planner.set_nodes({"a": 1, "b": 1}, [])
    assert {assignment.node for assignment in planner.plan(0)} == {"a"}


def test_a_node_that_refused_a_job_gets_no_task_of_it_until_it_is_another() -> None:
    planner = planner_with(job(maps=3), nodes={"a": 1})
    [given] = planner.plan(0)
    planner.task_refused(given.job, TaskId("map", 0), 1, "a", "another Python")

    assert planner.plan(100) == []
    assert "another Python" in stranded(planner)[given.job]
    planner.node_changed("a")
    assert stranded(planner) == {}
    assert [task for task, _ in planner.plan(100)[0].tasks] == [TaskId("map", 0)]
