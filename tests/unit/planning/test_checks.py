"""When and where a map runs a second time, to be checked."""

from __future__ import annotations

import pytest

from disco_rq.model import JobSpec, TaskId
from disco_rq.planning.assignment import Assignment
from disco_rq.planning.board import Board
from disco_rq.planning.jobstate import JobState
from disco_rq.planning.planner import Planner
from disco_rq.planning.sample import sample_bits, without
from disco_rq.planning.stragglers import laggards

JOB = "job@20260101-000000-aaaa"


def check(index: int) -> TaskId:
    return TaskId("check", index)


def mapping(index: int) -> TaskId:
    return TaskId("map", index)


class Story:
    """A planner with some nodes of one slot each."""

    def __init__(self, *nodes: str, maps: int = 2, reduces: int = 1, checked: set[int] | None = None) -> None:
        self.board = Board()
        self.board.set_nodes(dict.fromkeys(nodes, 1), ())
        self.planner = Planner(self.board)
        of = frozenset(range(maps) if checked is None else checked)
        self.board.add_job(JobState(JOB, maps, reduces, checked=of))

    def plan(self) -> dict[str, list[TaskId]]:
        """What is assigned now, by node."""
        plan: list[Assignment] = self.planner.plan(0.0)
        return {one.node: [task for task, _ in one.tasks] for one in plan}

    def done(self, *tasks: TaskId) -> None:
        for task in tasks:
            self.board.task_done(JOB, task, self.board.jobs[JOB].attempts[task], now_s=1.0, duration_s=2.0)


def test_a_map_is_checked_on_another_node_when_nothing_else_waits() -> None:
    story = Story("a", "b")
    first = story.plan()
    story.done(*(task for tasks in first.values() for task in tasks))

    second = story.plan()

    # the reduce first, then a check of what the other node has made
    assert TaskId("reduce", 0) in [task for tasks in second.values() for task in tasks]
    [(node, [checks])] = [(n, tasks) for n, tasks in second.items() if tasks[0].phase == "check"]
    assert first[node] != [mapping(checks.index)]


def test_maps_that_wait_go_before_checks() -> None:
    story = Story("a", maps=3)

    phases = []
    for _ in range(7):
        [[task]] = story.plan().values()
        phases.append(task.phase)
        story.done(task)

    assert phases == ["map"] * 3 + ["reduce"] + ["check"] * 3


def test_where_there_is_no_other_node_it_runs_on_the_same() -> None:
    story = Story("a", maps=1, reduces=0)
    story.plan()
    story.done(mapping(0))

    assert story.plan() == {"a": [check(0)]}


def test_a_check_waits_for_the_other_node_while_that_is_busy() -> None:
    story = Story("a", "b", maps=2, reduces=0, checked={0})
    first = story.plan()
    [there] = [node for node, tasks in first.items() if tasks == [mapping(1)]]
    story.done(mapping(0))

    assert story.plan() == {}

    story.done(mapping(1))
    assert story.plan() == {there: [check(0)]}


def test_a_check_that_failed_goes_to_another_node_than_both() -> None:
    story = Story("a", "b", "c", maps=1, reduces=0)
    [made_on] = story.plan()
    story.done(mapping(0))
    [failed_on] = story.plan()
    story.board.task_failed(JOB, check(0), 1, failed_on, 2.0)

    [(third, _)] = story.plan().items()

    assert {made_on, failed_on, third} == {"a", "b", "c"}


def test_only_the_sample_is_checked_and_each_once() -> None:
    story = Story("a", maps=3, reduces=0, checked={1})
    for index in range(3):
        story.plan()
        story.done(mapping(index))

    assert story.plan() == {"a": [check(1)]}
    story.done(check(1))
    story.board.task_done(JOB, mapping(1), 1, now_s=3.0)  # told twice
    assert story.plan() == {}


def test_a_paused_job_is_not_checked() -> None:
    story = Story("a", maps=1, reduces=0)
    story.plan()
    story.done(mapping(0))
    story.board.jobs[JOB].paused = True

    assert story.plan() == {}


def test_a_check_never_lags() -> None:
    story = Story("a", "b", "c", maps=1, reduces=1)
    story.plan()
    story.done(mapping(0))
    story.plan()

    assert [one.task for one in laggards(story.board, 1e6) if one.task.phase == "check"] == []


def test_another_master_finds_what_is_left_to_be_checked() -> None:
    story = Story("a", "b", maps=2, reduces=0)
    story.board.task_done(JOB, check(0), 1, now_s=0.0)
    for index in (0, 1):
        story.board.task_done(JOB, mapping(index), 1, now_s=0.0, node="a")

    assert story.plan() == {"b": [check(1)]}


@pytest.mark.parametrize(
    ("nr_maps", "part", "number"),
    [(100, 0.05, 5), (3, 0.01, 1), (3, 1, 3), (9, 0.5, 4), (50_000, 0.1, 5_000), (0, 1, 0), (5, 0, 0)],
)
def test_the_sample_has_such_a_part_of_the_maps_and_one_at_least(
    nr_maps: int, part: float, number: int
) -> None:
    spec = JobSpec(JOB, nr_maps, 1, True, True, check=part, details={"check": sample_bits(nr_maps, part)})

    assert len(spec.checked) == number
    assert spec.checked <= set(range(nr_maps))


def test_some_maps_are_taken_out_of_a_sample() -> None:
    spec = JobSpec(JOB, 10, 1, True, True, check=1, details={"check": without(sample_bits(10, 1), [0, 9])})

    assert spec.checked == set(range(1, 9))
