"""Which attempts get copies, where, and which nodes are slow: short stories of what happened."""

from __future__ import annotations

from typing import Any

import pytest

from disco_rq.model import TaskId
from disco_rq.planning.assignment import Assignment
from disco_rq.planning.jobstate import JobState
from disco_rq.planning.nodestate import MEMORY_S
from disco_rq.planning.planner import Planner
from disco_rq.planning.stragglers import Laggard, has_room_elsewhere, laggards
from tests.unit.planning.test_planner import finish, job, planner_with, told


def lagging(maps: int = 4, nodes: dict[str, int] | None = None, **options: Any) -> Planner:
    """Of so many maps, a slot for each, all but the last one are done after a second each."""
    planner = planner_with(job(maps=maps, **options), nodes=nodes or {"a": maps, "b": maps})
    assigned = planner.plan(0)
    finish(planner, [one for one in assigned if one.tasks[0][0].index < maps - 1], 1.0)
    return planner


def copies_of(planner: Planner, now_s: float) -> list[Assignment]:
    """As the master does, where every attempt was claimed when it was assigned."""
    return planner.copies([(one, now_s) for one in laggards(planner.board, now_s)], now_s)


def names(found: list[Laggard]) -> list[str]:
    return [f"{one.task}/{one.attempt} on {one.node}" for one in found]


def test_an_attempt_lags_after_twice_the_median() -> None:
    planner = lagging()

    assert laggards(planner.board, 1.9) == []
    assert names(laggards(planner.board, 2.1)) == ["map:3/1 on b"]


def test_an_attempt_that_lags_is_copied_to_another_node_once() -> None:
    planner = lagging()

    [copy] = copies_of(planner, 3.0)

    assert told([copy]) == ["job a map:3/2"]
    assert copy.copy_of == 1
    assert copy.why == "map:3 lags on b (3.0 s, median 1.0 s): a copy starts on a"
    assert copies_of(planner, 30.0) == []
    assert (planner.board.nodes["a"].batches, planner.board.nodes["b"].batches) == (1, 1)


def test_short_tasks_lag_after_half_a_second_more() -> None:
    planner = planner_with(job(maps=4), nodes={"a": 4, "b": 4})
    finish(planner, planner.plan(0)[:3], 0.01)

    assert laggards(planner.board, 0.55) == []
    assert len(laggards(planner.board, 0.65)) == 1


def test_nobody_lags_before_half_of_the_phase_is_done() -> None:
    planner = planner_with(job(maps=4), nodes={"a": 4, "b": 4})
    assigned = planner.plan(0)
    finish(planner, assigned[:1], 1.0)
    assert laggards(planner.board, 100) == []

    finish(planner, assigned[1:2], 1.0)

    assert len(laggards(planner.board, 100)) == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda planner, state: setattr(state, "speculative", False),
        lambda planner, state: setattr(state, "paused", True),
        lambda planner, state: setattr(state, "max_cores", 1),
        lambda planner, state: state.excluded.update({TaskId("map", 3): {"a": 1.0}}),
        lambda planner, state: state.refused.update({"a": "another Python"}),
        lambda planner, state: planner.board.set_nodes({"a": 4, "b": 4}, ["a"]),
        lambda planner, state: planner.board.set_nodes({"b": 4}, []),
        lambda planner, state: planner.board.add_job(job("other", 50)) or planner.plan(2.0),
    ],
    ids=["off", "paused", "max_cores", "excluded", "refused", "blacklisted", "alone", "busy"],
)
def test_there_is_no_copy_where_it_may_not_run(change: Any) -> None:
    planner = lagging()
    change(planner, planner.board.jobs["job"])

    assert copies_of(planner, 100) == []


def test_with_force_local_there_is_no_copy_elsewhere() -> None:
    planner = lagging(preferred={3: "b"}, force_local=True)

    assert copies_of(planner, 100) == []


def test_a_reduce_with_much_to_do_may_take_longer() -> None:
    planner = planner_with(job(maps=1, reduces=4), nodes={"a": 2, "b": 4})
    finish(planner, planner.plan(0), 1.0)
    planner.board.sizes_known("job", {0: 100, 1: 100, 2: 100, 3: 700})
    finish(planner, [one for one in planner.plan(0) if one.tasks[0][0].index != 3], 1.0)

    assert laggards(planner.board, 5.0) == []
    assert len(laggards(planner.board, 6.0)) == 1


def test_of_idle_nodes_those_with_laggards_of_their_own_come_last() -> None:
    planner = planner_with(job(maps=6), nodes={"a": 4, "b": 2, "c": 4})
    assigned = planner.plan(0)
    where = {one.tasks[0][0].index: one.node for one in assigned}
    lags = [index for index, node in where.items() if node != "b"][-2:]
    finish(planner, [one for one in assigned if one.tasks[0][0].index not in lags], 1.0)
    assert {where[index] for index in lags} == {"a", "c"}

    assert {one.node for one in copies_of(planner, 5.0)} == {"b"}


def test_what_waits_in_a_queue_has_room_where_a_slot_is_idle() -> None:
    planner = lagging(nodes={"a": 2, "b": 2})
    [laggard] = laggards(planner.board, 5.0)
    assert has_room_elsewhere(planner.board, laggard)

    planner.board.set_nodes({"b": 2}, [])

    assert not has_room_elsewhere(planner.board, laggard)


# -- the end of one of the two


@pytest.mark.parametrize("winner", [1, 2])
def test_the_first_commit_overtakes_the_other(winner: int) -> None:
    planner = lagging(reduces=0)
    batches = {**planner.board.live("job", TaskId("map", 3)), 2: copies_of(planner, 3.0)[0].batch_id}

    overtaken = planner.board.task_done("job", TaskId("map", 3), winner, now_s=3.0, duration_s=3.0)

    assert overtaken == {3 - winner: batches[3 - winner]}
    assert planner.board.batches == {}
    assert [node.batches for node in planner.board.nodes.values()] == [0, 0]
    assert (planner.board.jobs["job"].running, planner.board.jobs["job"].maps.complete) == (0, True)
    assert planner.board.task_done("job", TaskId("map", 3), 3 - winner, now_s=3.0, duration_s=3.0) == {}


@pytest.mark.parametrize("loser", [1, 2])
def test_a_task_waits_only_when_both_have_failed(loser: int) -> None:
    planner = lagging(nodes={"a": 4, "b": 4, "c": 4})
    [lags] = laggards(planner.board, 3.0)
    [copy] = copies_of(planner, 3.0)
    nodes = {1: lags.node, 2: copy.node}
    task = TaskId("map", 3)

    planner.board.task_failed("job", task, loser, nodes[loser], 4.0)
    planner.board.task_failed("job", task, loser, nodes[loser], 4.0)
    assert planner.plan(4.0) == []
    assert planner.board.live("job", task).keys() == {3 - loser}

    planner.board.task_failed("job", task, 3 - loser, nodes[3 - loser], 5.0)
    assert told(planner.plan(5.0)) == [f"job {({'a', 'b', 'c'} - set(nodes.values())).pop()} map:3/3"]


def test_after_a_failed_copy_another_node_gets_the_next_one() -> None:
    planner = lagging(nodes={"a": 4, "b": 4, "c": 4})
    [lags] = laggards(planner.board, 3.0)
    [first] = copies_of(planner, 3.0)
    planner.board.task_failed("job", TaskId("map", 3), 2, first.node, 4.0)

    [second] = copies_of(planner, 5.0)

    assert second.tasks == ((TaskId("map", 3), 3),)
    assert len({lags.node, first.node, second.node}) == 3


def test_an_output_that_is_lost_after_a_copy_was_overtaken_is_made_again() -> None:
    planner = lagging(reduces=1)
    copies_of(planner, 3.0)
    planner.board.task_done("job", TaskId("map", 3), 1, now_s=3.0, duration_s=3.0)
    planner.board.output_lost("job", TaskId("map", 3), 2, "a", 4.0)  # of an attempt that does not count
    assert planner.board.jobs["job"].maps.complete

    planner.board.output_lost("job", TaskId("map", 3), 1, "b", 4.0)

    assert "map:3/3" in " ".join(told(planner.plan(5.0)))


# -- slow nodes


def with_slow_node(reduces: int, **options: Any) -> Planner:
    """The maps of node b took ten times as long as those of a."""
    planner = planner_with(job(maps=6, reduces=reduces, **options), nodes={"a": 4, "b": 2})
    for one in sorted(planner.plan(0), key=lambda one: one.node):
        finish(planner, [one], 10.0 if one.node == "b" else 1.0)
    planner.plan(10.0)
    return planner


def nodes_of(planner: Planner) -> list[str]:
    return sorted(batch.node for batch in planner.board.batches.values())


def test_a_slow_node_gets_nothing_that_others_will_have_done_before_it() -> None:
    assert nodes_of(with_slow_node(reduces=6)) == ["a"] * 4


def test_a_slow_node_gets_its_share_of_much_work_and_nothing_ahead() -> None:
    planner = with_slow_node(reduces=100)

    assert nodes_of(planner) == ["a"] * 4 + ["b"] * 2


def test_a_slow_node_is_better_than_none() -> None:
    planner = with_slow_node(reduces=1)
    planner.board.set_nodes({"b": 2}, [])
    planner.board.add_job(job("other", 1))

    assert [one.node for one in planner.plan(11.0)] == ["b"]


def test_a_slow_node_takes_what_only_it_may_take() -> None:
    planner = with_slow_node(reduces=1)
    planner.board.add_job(job("local", 2, force_local=True, preferred={0: "b", 1: "b"}))

    assert [one.node for one in planner.plan(11.0) if one.job == "local"] == ["b", "b"]


def test_a_node_is_not_slow_for_ever() -> None:
    planner = with_slow_node(reduces=6)

    assert [one.node for one in planner.plan(10.1 + MEMORY_S)] == ["b", "b"]


def test_one_long_task_makes_no_slow_node() -> None:
    planner = planner_with(job(maps=5, reduces=2), nodes={"a": 4, "b": 1})
    for one in planner.plan(0):
        finish(planner, [one], 10.0 if one.node == "b" else 1.0)

    assert planner.board.nodes["b"].slowness(10.0) == 1


def test_a_state_of_a_job_is_speculative_by_default() -> None:
    assert JobState("job", 1, 1).speculative
