"""ops/grafana.json: Grafana can lay it out, and each of its expressions asks for what is served."""

from __future__ import annotations

import json
from itertools import combinations
from typing import Any

import pytest

from disco_rq.store.connection import Connection
from tests.redis.expressions import asked, served, wrong_in
from tests.services import OPS

DASHBOARD: dict[str, Any] = json.loads((OPS / "grafana.json").read_text())
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
SHOWN = [panel for panel in PANELS if panel["type"] != "row"]
WIDTH = 24
"""Columns of Grafana's grid."""


def expressions() -> list[str]:
    """As Grafana sends them, with all nodes chosen."""
    written = [target["expr"] for panel in SHOWN for target in panel["targets"]]
    return [text.replace("$__rate_interval", "1m").replace("$node", ".*") for text in written]


def test_every_expression_asks_for_what_is_served(connection: Connection) -> None:
    there = served(connection)
    assert {expression: wrong_in(expression, there) for expression in expressions()} == {
        expression: [] for expression in expressions()
    }


def test_every_metric_is_shown(connection: Connection) -> None:
    shown = {name for expression in expressions() for name in asked(expression)[0]}
    not_worth_it = {"up", "disco_task_duration_seconds_count", "disco_task_duration_seconds_sum"}
    assert set(served(connection)) - shown == not_worth_it


def test_what_is_wrong_in_an_expression_is_found(connection: Connection) -> None:
    there = served(connection)
    assert wrong_in('sum by (planet) (disco_tasks{phase="map", moon="1"}) / disco_gone', there) == [
        "disco_gone",
        "disco_tasks{moon}",
        "by (planet)",
    ]
    with pytest.raises(ValueError, match="unclosed"):
        wrong_in("sum(disco_tasks", there)


def test_the_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    for panel in PANELS:
        place = panel["gridPos"]
        assert min(place["x"], place["y"]) >= 0
        assert place["x"] + place["w"] <= WIDTH
    for one, other in combinations((panel["gridPos"] for panel in PANELS), 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below, (one, other)


def test_every_panel_asks_the_prometheus_that_is_chosen() -> None:
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    assert variables["node"]["datasource"] == chosen
    for panel in SHOWN:
        assert panel["datasource"] == chosen
        assert all(target["datasource"] == chosen for target in panel["targets"])
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
