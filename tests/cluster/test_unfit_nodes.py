"""Nodes with another Python or without a package: told at submit, before anything is queued."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jinja2
import pytest

from disco_rq import Disco, UnfitNodes, result_iterator
from disco_rq.store import keys
from tests.cluster.conftest import wait_until
from tests.cluster.user import User
from tests.nodes import NodeCluster


def rendered(line: str, params: Any) -> Any:
    yield jinja2.Template("{{ it }}!").render(it=line), 1


def plain(line: str, params: Any) -> Any:
    yield line, 1


def unlike(nodes: NodeCluster, name: str, **environment: str) -> None:
    """Start a node that differs, and wait until it has told so."""
    nodes.environment.update(environment)
    options = ["--node", name, "--slots", "1", "--data", str(nodes.data(name))]
    nodes.program(name, ["tests.cluster.unlike_node", "node", *options])
    for variable in environment:
        del nodes.environment[variable]
    wait_until(lambda: nodes.slots(name) and nodes.connection.redis.exists(keys.packages(name)))


def test_nodes_that_lack_a_package_are_named_and_nothing_is_queued(nodes: NodeCluster) -> None:
    nodes.master()
    unlike(nodes, "bare", UNLIKE_PACKAGES=json.dumps({"jinja2": None}))
    unlike(nodes, "old", UNLIKE_PACKAGES=json.dumps({"jinja2": "1.0"}))

    with pytest.raises(UnfitNodes) as refusal:
        nodes.disco.new_job("rendered", ["raw://a"], map=rendered)

    here = version("jinja2")
    assert f"bare has no jinja2, here is {here}; old has jinja2 1.0, here is {here}" in str(refusal.value)
    assert nodes.disco.joblist() == []
    # and a job without it runs
    assert list(result_iterator(nodes.disco.new_job("plain", ["raw://a"], map=plain).wait(30))) == [("a", 1)]


def test_draining_the_nodes_that_lack_it_lets_the_job_run_on_the_others(nodes: NodeCluster) -> None:
    nodes.master()
    unlike(nodes, "bare", UNLIKE_PACKAGES=json.dumps({"jinja2": None}))
    nodes.node("good")
    nodes.wait_ready()

    nodes.disco.drain("bare")
    job = nodes.disco.new_job("rendered", ["raw://a"], map=rendered)

    assert list(result_iterator(job.wait(30))) == [("a!", 1)]


def test_nodes_of_another_python_are_one_line_of_the_command_line(nodes: NodeCluster, tmp_path: Path) -> None:
    nodes.master()
    unlike(nodes, "n1", UNLIKE_PYTHON="3.99.1")
    (tmp_path / "plain.py").write_text("def map(line, params):\n    yield line, 1\n")

    seen = User(tmp_path, nodes.url).types("submit", "plain.py", "raw://a", status=1)

    assert seen.err.startswith("disco-rq: the nodes cannot run this job: n1 has Python 3.99.1, here is 3.")
    assert seen.err.count("\n") == 1


def test_a_node_tells_what_is_installed_there(nodes: NodeCluster) -> None:
    nodes.master()
    nodes.node("n1")
    nodes.wait_ready()
    wait_until(lambda: nodes.connection.redis.exists(keys.packages("n1")))

    told = nodes.connection.redis.hget(keys.packages("n1"), "jinja2")

    assert told == version("jinja2").encode()


def test_an_embedded_cluster_is_not_asked(disco: Disco) -> None:
    assert list(result_iterator(disco.new_job("rendered", ["raw://a"], map=rendered).wait(30))) == [("a!", 1)]
