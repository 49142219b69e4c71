"""Slots that a job would keep busy, by what its tasks need."""

from __future__ import annotations

import math
from typing import Any

import pytest

from disco_rq.model import JobSpec
from disco_rq.store.viewing import JobHead
from disco_rq.views.wanted import slots_wanted

GPU = {"gpu": True, "ram": 64}


def wanted(pilot_left: int = 0, most: float = math.inf, spec: Any = None, **counts: int) -> Any:
    """Of a job with ten maps and four reduces; ``map_running=2`` and the like."""
    fields = {name.replace("_", ":", 1): str(number) for name, number in counts.items() if name != "paused"}
    fields |= {"nr_maps": "10", "paused": str(counts.get("paused", 0))}
    made = JobSpec(name="j", nr_maps=10, nr_reduces=4, has_map=True, has_reduce=True, **spec or {})
    return slots_wanted(JobHead("j", fields), made, pilot_left, most)


BEGUN = {"map_waiting": 5, "map_running": 2, "map_done": 3, "reduce_waiting": 4}
REDUCES = {"map_done": 10, "reduce_waiting": 3, "reduce_running": 1}
CHECKS = {"map_done": 10, "reduce_done": 4, "check_waiting": 6, "check_running": 2, "check_done": 2}


@pytest.mark.parametrize(
    ("counts", "number"),
    [
        (BEGUN, 7),
        ({"map_running": 1, "map_done": 9, "reduce_waiting": 4}, 1),
        (REDUCES, 4),
        (CHECKS, 8),
        ({"map_waiting": 10, "check_waiting": 10}, 10),
        ({"map_waiting": 4, "map_running": 2, "map_done": 4, "check_waiting": 5}, 8),
        ({**BEGUN, "paused": 1}, 2),
    ],
)
def test_tasks_count_that_run_or_could(counts: dict[str, int], number: int) -> None:
    assert wanted(**counts) == {"": number}


def test_nothing_is_wanted_by_a_job_without_tasks_to_run() -> None:
    assert wanted(map_done=10, reduce_done=4) == {}
    assert wanted(paused=1, map_waiting=10) == {}


def test_of_a_pilot_only_its_own_maps_count() -> None:
    assert wanted(pilot_left=3, map_waiting=9, map_running=1) == {"": 3}
    assert wanted(pilot_left=2, map_waiting=8, map_running=2) == {"": 2}


def test_no_more_is_wanted_than_the_job_or_its_owner_may_have() -> None:
    assert wanted(spec={"max_cores": 3}, **BEGUN) == {"": 3}
    assert wanted(most=4, **BEGUN) == {"": 4}
    assert wanted(most=0, **BEGUN) == {"": 2}  # these run


def test_what_tasks_need_tells_which_nodes_could_run_them() -> None:
    needs = {"map": GPU}
    assert wanted(spec={"needs": needs}, **BEGUN) == {"gpu, ram >= 64": 7}
    assert wanted(spec={"needs": needs}, **REDUCES) == {"": 4}
    assert wanted(spec={"needs": needs}, **REDUCES, check_waiting=2) == {"": 4, "gpu, ram >= 64": 2}
