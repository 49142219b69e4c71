"""A job that was seen to be small at submit goes to one slot, whole; what takes long there is spread."""

from __future__ import annotations

from typing import Any

from disco_rq.model import TaskId
from disco_rq.planning.planner import Planner
from tests.unit.planning.test_planner import fail, finish, job, planner_with, told

WHOLE = "job a map:0/1 map:1/1 map:2/1 reduce:0/1 reduce:1/1"


def small(**options: Any) -> Planner:
    return planner_with(job(maps=3, reduces=2, is_small=True, **options), nodes={"a": 2, "b": 2})


def test_it_is_one_batch_the_maps_before_the_reduces() -> None:
    planner = small()

    assert told(planner.plan(0)) == [WHOLE]
    assert planner.plan(1) == []


def test_another_job_is_planned_as_before() -> None:
    planner = planner_with(job(maps=3, reduces=2), nodes={"a": 2})

    assert told(planner.plan(0)) == ["job a map:0/1", "job a map:1/1"]


def test_what_its_batch_has_not_begun_goes_to_other_slots_with_the_same_numbers() -> None:
    planner = small()
    planner.plan(0)
    for task in (TaskId("map", 1), TaskId("map", 2), TaskId("reduce", 0), TaskId("reduce", 1)):
        planner.board.task_unclaimed("job", task, 1)

    spread = planner.plan(1)

    assert sorted(one.tasks for one in spread) == [((TaskId("map", index), 1),) for index in (1, 2)]
    planner.board.task_done("job", TaskId("map", 0), 1, now_s=2)
    finish(planner, spread, 1.0, now_s=2)
    assert sorted(task for one in planner.plan(3) for task in one.tasks) == [
        (TaskId("reduce", 0), 1),
        (TaskId("reduce", 1), 1),
    ]


def test_after_a_failure_it_is_planned_as_any_other() -> None:
    planner = small()
    fail(planner, planner.plan(0)[0], 0, node="")

    again = planner.plan(1)

    assert sorted(one.tasks for one in again) == [((TaskId("map", index), 2),) for index in range(3)]


def test_one_that_a_master_takes_over_is_not_given_out_again() -> None:
    planner = small(attempts={TaskId("map", 0): 1})

    assert all(len(one.tasks) == 1 for one in planner.plan(0))


def test_an_event_that_comes_late_or_twice_changes_nothing() -> None:
    planner = small()
    [whole] = planner.plan(0)
    finish(planner, [whole], 0.001)

    planner.board.task_unclaimed("job", TaskId("map", 1), 1)
    planner.board.task_unclaimed("gone", TaskId("map", 1), 1)

    assert planner.board.jobs["job"].maps.complete
    assert planner.plan(1) == []
