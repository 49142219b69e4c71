"""Labels of nodes, and what jobs need of them."""

from __future__ import annotations

from typing import Any

import pytest

from disco_rq.planning.labels import check_needs, fits, missing, needs_by_phase, parse_labels
from disco_rq.planning.stranded import stranded
from tests.unit.planning.test_planner import finish, job, planner_with, told


def test_a_label_is_a_name_or_a_name_with_a_number_or_a_text() -> None:
    assert parse_labels("gpu, ram=64 zone=eu-1,ssd=1.5") == {
        "gpu": True,
        "ram": 64.0,
        "zone": "eu-1",
        "ssd": 1.5,
    }
    assert parse_labels("") == {}


@pytest.mark.parametrize("text", ["=1", "gpu=", "a b!", "ü", "x" * 64, "a=" + "x" * 129, "a==b=c;"])
def test_what_is_no_label_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="is no label, such as"):
        parse_labels(text)


@pytest.mark.parametrize(
    ("labels", "needs", "expected"),
    [
        ("gpu", {"gpu": True}, True),
        ("gpu=2", {"gpu": True}, True),
        ("", {"gpu": True}, False),
        ("ram=64", {"ram": 64}, True),
        ("ram=64", {"ram": 65}, False),
        ("ram=big", {"ram": 1}, False),
        ("ram", {"ram": 1}, False),
        ("zone=eu-1", {"zone": "eu-1"}, True),
        ("zone=eu-1", {"zone": "eu-2"}, False),
        ("gpu ram=64", {"gpu": True, "ram": 32}, True),
        ("gpu", {"gpu": True, "ram": 32}, False),
        ("", {}, True),
        ("rack=7", {"rack": "7"}, True),
        ("rack=7", {"rack": "7.0"}, False),
        ("python=3.10", {"python": "3.10"}, True),
        ("python=3.10", {"python": 3}, True),
        ("rack=007", {"rack": "007"}, True),
        ("rack=007", {"rack": 7}, True),
        ("ram=1e3", {"ram": 1000}, True),
        ("big=9007199254740993", {"big": "9007199254740993"}, True),
        ("ram=nan", {"ram": 1}, False),
    ],
)
def test_a_number_is_needed_at_least_a_text_exactly(
    labels: str, needs: dict[str, Any], expected: bool
) -> None:
    assert fits(parse_labels(labels), needs) is expected


def test_a_label_that_is_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="'gpu=2': gpu is named twice"):
        parse_labels("gpu,ram=64,gpu=2")


def test_needs_are_of_both_phases_or_of_each() -> None:
    assert needs_by_phase({"gpu": True}) == {"map": {"gpu": True}, "reduce": {"gpu": True}}
    assert needs_by_phase({"reduce": {"ram": 64}, "map": {}}) == {"reduce": {"ram": 64}}
    assert needs_by_phase({}) == {}


@pytest.mark.parametrize(
    "needs",
    [
        *(["gpu"], {"gpu": False}, {"gpu": None}, {1: True}, {"a b": True}, {"map": {"x": []}}),
        *({"gpu": True, "reduce": "gpu"}, {"map": True}, {"map": {"map": True}, "reduce": 1}),
        *({"map": {}, "gpu": True}, {"shuffle": {"gpu": True}}, {"ram": float("nan")}, {"zone": "a b"}),
    ],
)
def test_what_can_be_no_need_is_told(needs: Any) -> None:
    assert check_needs(needs)


def test_a_phase_with_no_dict_is_told_with_what_to_write() -> None:
    assert check_needs({"map": "gpu"}) == 'map: \'gpu\' is no dict of labels: write {"map": {"gpu": True}}'
    assert check_needs({"reduce": 4}).endswith('write {"reduce": {"gpu": True}}')
    with pytest.raises(ValueError, match="'map=1' is no label that a job can need"):
        parse_labels("gpu,map=1")


def test_a_label_that_is_no_number_is_told_where_one_is_needed() -> None:
    nodes = [parse_labels("ram=64g"), parse_labels("ram=16"), parse_labels("gpu")]
    assert missing(nodes, {"ram": 32}) == "ram >= 32 (64g is no number)"
    assert missing(nodes, {"ram": "32"}) == "ram = 32"


def test_what_no_node_has_is_told_before_what_none_has_together() -> None:
    nodes = [parse_labels("gpu"), parse_labels("ram=64")]
    assert missing(nodes, {"gpu": True, "zone": "eu-1"}) == "zone = eu-1"
    assert missing(nodes, {"gpu": True, "ram": 32}) == "gpu, ram >= 32"


def test_tasks_go_to_nodes_that_have_what_their_phase_needs() -> None:
    planner = planner_with(job(maps=3, reduces=2, needs={"map": {"gpu": True}}), nodes={"a": 2, "b": 2})
    planner.board.set_nodes({"a": 2, "b": 2}, [], labels={"b": {"gpu": True}})
    first = planner.plan(0)
    assert {one.node for one in first} == {"b"}
    assert planner.plan(1) == []
    finish(planner, first)
    finish(planner, planner.plan(2))
    # the reduces need nothing
    assert {one.node for one in planner.plan(3)} == {"a", "b"}


def test_a_job_whose_needs_no_node_has_waits_and_says_for_what_and_others_go_on() -> None:
    planner = planner_with(job(maps=1, needs={"map": {"gpu": True}, "reduce": {"gpu": True}}), nodes={"a": 1})
    planner.board.add_job(job("other", maps=1))
    assert told(planner.plan(0)) == ["other a map:0/1"]
    assert stranded(planner.board) == {"job": "No node has gpu, which its maps need: the job waits for one"}
    planner.board.set_nodes({"a": 1, "b": 1}, [], labels={"b": {"gpu": True}})
    assert stranded(planner.board) == {}
    assert told(planner.plan(1)) == ["job b map:0/1"]


def test_a_small_job_is_one_batch_only_where_both_phases_may_run() -> None:
    apart = {"map": {"gpu": True}}
    planner = planner_with(job(maps=1, reduces=1, needs=apart, is_small=True), nodes={"a": 1})
    planner.board.set_nodes({"a": 1}, [], labels={"a": {"gpu": True}})
    assert told(planner.plan(0)) == ["job a map:0/1"]
