"""The planner's rules, each as a short story of what happened and what it assigns then."""

from __future__ import annotations

from collections import Counter
from typing import Any

from disco_rq.model import TaskId
from disco_rq.planning.assignment import Assignment
from disco_rq.planning.board import Board
from disco_rq.planning.jobstate import BATCH_MAX, JobState
from disco_rq.planning.planner import Planner
from disco_rq.planning.stranded import stranded


def planner_with(*jobs: JobState, nodes: dict[str, int] | None = None) -> Planner:
    planner = Planner(Board())
    planner.board.set_nodes(nodes or {"a": 1}, [])
    for job in jobs:
        planner.board.add_job(job)
    return planner


def job(name: str = "job", maps: int = 4, reduces: int = 1, **options: Any) -> JobState:
    return JobState(name, maps, reduces, **options)


def told(assignments: list[Assignment]) -> list[str]:
    """``job node task/attempt …`` for each assignment."""
    return [
        f"{one.job} {one.node} " + " ".join(f"{task}/{attempt}" for task, attempt in one.tasks)
        for one in assignments
    ]


def finish(
    planner: Planner, assignments: list[Assignment], duration_s: float | None = None, now_s: float = 0.0
) -> None:
    for one in assignments:
        for task, attempt in one.tasks:
            planner.board.task_done(one.job, task, attempt, now_s=now_s, duration_s=duration_s)


def fail(planner: Planner, one: Assignment, now_s: float, node: str | None = None) -> None:
    for task, attempt in one.tasks:
        planner.board.task_failed(one.job, task, attempt, one.node if node is None else node, now_s)


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
    finish(planner, planner.plan(0), 0.01)

    assert [len(one.tasks) for one in planner.plan(1)[:4]] == [1, 1, 1, 1]


def test_jobs_that_share_a_slot_are_not_cut_into_more_batches_than_their_time_asks_for() -> None:
    planner = planner_with(*(job(name, 20, submitted_ms=i) for i, name in enumerate("wxyz")), nodes={"a": 2})
    while any(state.maps.mean_s is None for state in planner.board.jobs.values()):
        finish(planner, planner.plan(0), 0.001)
    while (assigned := planner.plan(1)) and len(assigned[0].tasks) == 1:
        finish(planner, assigned, 0.001)

    assert all(len(one.tasks) > 15 for one in assigned)


def test_what_is_done_in_no_time_is_not_spread() -> None:
    planner = planner_with(job(maps=54), nodes={"a": 2, "b": 2})
    finish(planner, planner.plan(0), 0.0002)

    assert [len(one.tasks) for one in planner.plan(1)] == [25, 25]


def test_the_emptiest_node_is_served_first() -> None:
    planner = planner_with(job(maps=3), nodes={"a": 1, "b": 4})
    planner.board.task_assigned("job", TaskId("map", 0), 1, node="b", batch_id="x", now_s=0)

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
    assert not planner.board.wants_sizes("job")
    finish(planner, planner.plan(0))
    assert planner.board.wants_sizes("job")

    planner.board.sizes_known("job", {1: 5, 2: 700, 3: 5})

    assert not planner.board.wants_sizes("job")
    order = []
    for now_s in range(4):
        assigned = planner.plan(now_s)
        order += [one.tasks[0][0].index for one in assigned]
        finish(planner, assigned, 5.0)
    assert order == [2, 1, 3, 0]


def test_without_maps_there_are_no_sizes_and_the_reduces_go_in_order() -> None:
    planner = planner_with(job(maps=0, reduces=2), nodes={"a": 2})

    assert not planner.board.wants_sizes("job")
    assert told(planner.plan(0)) == ["job a reduce:0/1", "job a reduce:1/1"]


def test_a_map_whose_output_is_lost_runs_again_elsewhere_and_holds_the_reduces_back() -> None:
    planner = planner_with(job(maps=1, reduces=2), nodes={"a": 1})
    finish(planner, planner.plan(0))
    reduces = planner.plan(1)
    planner.board.set_nodes({"a": 1, "b": 1}, [])
    for _ in range(2):  # told twice by two reduces, or read again
        planner.board.output_lost("job", TaskId("map", 0), 1, "a", 2.0)
    fail(planner, reduces[0], 2.0, node="")

    assert told(planner.plan(3)) == ["job b map:0/2"]


# -- several jobs


def test_a_big_job_does_not_hold_up_a_small_one() -> None:
    planner = planner_with(job("big", 50_000, submitted_ms=1), nodes={"a": 2})
    running = planner.plan(0)
    planner.board.add_job(job("small", 2, submitted_ms=2))

    finish(planner, running[:1], 5.0)

    assert told(planner.plan(1)) == ["small a map:0/1"]


def test_a_job_that_is_new_gets_the_next_free_slot_though_another_could_go_ahead() -> None:
    planner = planner_with(job("big", 50_000, submitted_ms=1))
    finish(planner, planner.plan(0), 0.001)
    running = planner.plan(1)
    assert len(running) == 2  # one of them ahead
    planner.board.add_job(job("small", 2, submitted_ms=2))

    finish(planner, running[:1], 0.001)
    assert planner.plan(2) == []
    finish(planner, running[1:], 0.001)

    assert [one.job for one in planner.plan(3)] == ["small", "big"]


def test_a_job_that_cannot_use_a_node_keeps_nobody_from_going_ahead_there() -> None:
    planner = planner_with(job("big", 50_000, submitted_ms=1))
    finish(planner, planner.plan(0), 0.001)
    planner.board.add_job(job("local", 2, submitted_ms=2, force_local=True, preferred={0: "b", 1: "b"}))
    planner.board.add_job(job("refused", 2, submitted_ms=3))
    planner.board.jobs["refused"].refused["a"] = "another Python"

    assert [one.job for one in planner.plan(1)] == ["big", "big"]


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

    planner.board.add_job(job("y", 10, submitted_ms=2))
    assert [one.job for one in planner.plan(1)] == ["y", "y"]


def test_a_paused_job_starts_nothing() -> None:
    planner = planner_with(job("x", paused=True), job("y", maps=1, reduces=0))

    assert [one.job for one in planner.plan(0)] == ["y"]


def test_a_job_that_ended_frees_its_slots_and_its_late_events_are_ignored() -> None:
    planner = planner_with(job("x", 10))
    assigned = planner.plan(0)
    planner.board.add_job(job("y", 10))
    assert planner.plan(1) == []

    planner.board.remove_job("x")
    planner.board.remove_job("x")
    finish(planner, assigned)
    fail(planner, assigned[0], 2)

    assert [one.job for one in planner.plan(3)] == ["y"]
    assert planner.board.nodes["a"].batches == 1


# -- nodes


def test_without_a_node_nothing_is_assigned_and_with_one_it_goes_on() -> None:
    planner = planner_with(job())
    planner.board.set_nodes({}, [])
    assert planner.plan(0) == []

    planner.board.set_nodes({"b": 1}, [])

    assert [one.node for one in planner.plan(1)] == ["b"]


def test_a_blacklisted_node_gets_nothing() -> None:
    planner = planner_with(job(maps=10))
    planner.board.set_nodes({"a": 4, "b": 1}, ["a"])

    assert [one.node for one in planner.plan(0)] == ["b"]


def test_a_node_that_comes_back_still_has_its_batches() -> None:
    planner = planner_with(job(maps=10), nodes={"a": 2})
    planner.plan(0)
    planner.board.set_nodes({}, [])
    planner.board.set_nodes({"a": 2}, [])

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

    planner.board.set_nodes({"a": 1, "b": 1}, [])
    assert told(planner.plan(1)) == ["job b map:0/1"]


def test_force_remote_takes_any_other_node() -> None:
    planner = planner_with(job(maps=1, force_remote=True, preferred={0: "a"}))
    assert planner.plan(0) == []

    planner.board.set_nodes({"a": 1, "b": 1}, [])
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
    assert stranded(planner.board) == waits

    # not while something of it can be done
    planner.board.set_nodes({"a": 1, "b": 1}, [])
    assert stranded(planner.board) == {}
    planner.board.set_nodes({"a": 1, "b": 1}, ["b"])
    assert stranded(planner.board) == waits

    planner.board.set_nodes({"a": 1}, ["a"])
    assert stranded(planner.board) == dict.fromkeys(
        ("stays", "leaves", "anywhere"), "No node takes tasks (a: blacklisted): the job waits for one"
    )
