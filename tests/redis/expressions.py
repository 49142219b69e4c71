"""What PromQL expressions ask for, and what /metrics gives."""

from __future__ import annotations

from pathlib import Path

import promql_parser as promql

from disco_rq.machine.load import node_load
from disco_rq.store.connection import Connection
from disco_rq.store.jobs import JobStore
from disco_rq.store.nodes import NodeStore
from disco_rq.store.viewing import ViewStore
from disco_rq.web.metrics import _Cluster
from tests.redis.fake_node import register

OF_PROMETHEUS = {"up": {"job", "instance"}}
"""Metrics that Prometheus makes itself, with their labels."""


def served(connection: Connection) -> dict[str, set[str]]:
    """Each series of a cluster with one node, in a Redis with a limit: its name, and its labels."""
    register(connection, "n1")
    NodeStore(connection, "n1").register({name: str(value) for name, value in node_load(Path()).items()})
    connection.redis.config_set("maxmemory", "1gb")
    found = dict(OF_PROMETHEUS)
    for family in _Cluster(ViewStore(connection), JobStore(connection)).collect():
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    connection.redis.config_set("maxmemory", "0")
    return found


def asked(expression: str) -> tuple[dict[str, set[str]], set[str]]:
    """The series with the labels that select them, and the labels that group. ``ValueError``: no PromQL."""
    series: dict[str, set[str]] = {}
    groups: set[str] = set()

    def look(part: promql.Expr) -> None:
        if isinstance(part, promql.MatrixSelector):
            part = part.vector_selector
        if isinstance(part, promql.VectorSelector):
            labels = {matcher.name for matcher in part.matchers.matchers}
            series.setdefault(str(part.name), set()).update(labels)
        elif isinstance(part, promql.AggregateExpr) and part.modifier is not None:
            groups.update(part.modifier.labels)

    promql.walk(promql.parse(expression), look)
    return series, groups


def wrong_in(expression: str, there: dict[str, set[str]]) -> list[str]:
    """What an expression asks for that is not there."""
    series, groups = asked(expression)
    wrong = [name for name in series if name not in there]
    wrong += [f"{name}{{{label}}}" for name in series for label in series[name] - there.get(name, set())]
    labels = set().union(*(there.get(name, set()) for name in series))
    return wrong + [f"by ({label})" for label in groups - labels]
