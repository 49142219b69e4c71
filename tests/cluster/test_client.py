"""What people do with a client at the edges of its life."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from disco_rq import ConnectionLost, Disco, DiscoError, SettingsError, result_iterator
from disco_rq.client.submission import ARGUMENTS
from disco_rq.node.node import run_node
from disco_rq.settings import Settings
from disco_rq.store.connection import AWAY_PATIENCE_S
from tests.cluster.small_jobs import run


@pytest.fixture(scope="module")
def closed() -> Disco:
    disco = Disco(workers=1)
    disco.close()
    return disco


def test_what_is_asked_after_close_is_refused_at_once(closed: Disco) -> None:
    began = time.monotonic()
    with pytest.raises(ConnectionLost, match="was closed"):
        closed.joblist()
    with pytest.raises(ConnectionLost, match="was closed"):
        closed.new_job("late", ["raw://x"], map=lambda entry, params: [])
    assert time.monotonic() - began < AWAY_PATIENCE_S


def test_the_results_of_a_closed_cluster_are_gone_at_once() -> None:
    with Disco(workers=1) as disco:
        results = run(disco, map=lambda entry, params: [(entry, 1)]).wait()
    began = time.monotonic()
    with pytest.raises(DiscoError):
        list(result_iterator(results))
    assert time.monotonic() - began < AWAY_PATIENCE_S


def test_one_address_is_read_as_a_list_of_it(disco: Disco) -> None:
    results = run(disco, map=lambda entry, params: [(entry, 1)]).wait()
    assert list(result_iterator(results[0])) == list(result_iterator(results)) == [("entry", 1)]


def test_a_second_node_of_the_same_name_elsewhere_is_refused(disco: Disco, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="node localhost runs already"):
        run_node(Settings(redis=disco.url, node="localhost", data=tmp_path / "other"), slots=1)


def test_a_node_in_the_directory_of_another_one_is_refused(disco: Disco) -> None:
    assert disco._cluster is not None
    data = disco._cluster.directory / "data"
    with pytest.raises(SettingsError, match="is that of node localhost"):
        run_node(Settings(redis=disco.url, node="other", data=data), slots=1)


def test_a_data_directory_that_cannot_be_made_is_refused_in_one_line(disco: Disco) -> None:
    with pytest.raises(SettingsError, match="data directory /proc/none") as caught:
        run_node(Settings(redis=disco.url, node="other", data=Path("/proc/none")), slots=1)
    assert "\n" not in str(caught.value)


def test_no_node_that_was_refused_is_remembered(disco: Disco) -> None:
    assert [node["node"] for node in disco.nodeinfo()["available"]] == ["localhost"]


def test_jobspec_tells_every_argument_as_it_was_submitted(disco: Disco) -> None:
    def one(entry: str, params: object) -> list[tuple[str, int]]:
        return [(entry, 1)]

    job = run(
        disco,
        input=["raw://a", ["raw://b", "raw://c"]],
        map=one,
        split_size=None,
        scheduler={"max_cores": 3},
        params={"limit": 3},
    )

    spec = job.jobspec()

    assert set(spec) == set(ARGUMENTS)
    assert spec["name"] == job.name
    assert spec["input"] == ["raw://a", ["raw://b", "raw://c"]]
    assert spec["map"].endswith("one")
    assert (spec["reduce"], spec["nr_reduces"], spec["split_size"]) == (None, 0, None)
    assert (spec["scheduler"], spec["params"]) == ({"max_cores": 3}, "{'limit': 3}")
    assert (spec["sort"], spec["mem_sort_limit"], spec["files_per_task"]) == (False, 256 << 20, 1)
    assert json.dumps(spec)
