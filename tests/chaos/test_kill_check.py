"""Kill points of ``check``: whoever dies at any step of it, the answer is right and nothing counts twice."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from disco_rq import Disco, Job, JobError, result_iterator
from disco_rq.func import kvgroup
from disco_rq.runtime import counter, data_err, put, this_partition
from tests.chaos import deadly
from tests.chaos.test_kill_points import DEADLINE_S, NAMES, deadly_part
from tests.cluster.small_jobs import is_first_attempt
from tests.nodes import NodeCluster

pytestmark = [pytest.mark.timeout(300), pytest.mark.long]  # whoever dies is waited for; `make chaos` does

MAPS = 12
WORDS = [f"w{i % 5}" for i in range(MAPS)]


def map_words(line: str, params: Any) -> Iterator[tuple[str, int]]:
    """Some runs after the first whole one fail once, of their node: checks, most of them."""
    put(f"map:{this_partition()}", line)
    counter("lines")
    whole = Path(params, f"whole-{this_partition()}")
    if whole.exists() and this_partition() % 2 and is_first_attempt(f"{params}/again-{this_partition()}"):
        data_err("this once")
    yield line, 1
    whole.touch()


def map_otherwise(line: str, params: Any) -> Iterator[tuple[str, int]]:
    """Each run of it gives something of its own."""
    yield f"{line} {time.time_ns()}", 1


def reduce_words(pairs: Any, params: Any) -> Iterator[tuple[str, int]]:
    for word, ones in kvgroup(pairs):
        counter("different")
        yield word, sum(ones)


def submit(disco: Disco, directory: Path) -> Job:
    directory.mkdir()
    inputs = [f"raw://{word}" for word in WORDS]
    options: dict[str, Any] = {"sort": True, "nr_reduces": 2, "check": 1, "max_failures": 1000}
    return disco.new_job(
        "checked", inputs, map=map_words, reduce=reduce_words, params=str(directory), **options
    )


def submit_otherwise(disco: Disco) -> Job:
    """A job that must die."""
    options: dict[str, Any] = {"nr_reduces": 2, "check": 1, "max_failures": 1000}
    return disco.new_job("differs", ["raw://line"], map=map_otherwise, reduce=reduce_words, **options)


def assert_right(job: Job, timeout_s: float) -> None:
    found = dict(result_iterator(job.wait(timeout=timeout_s)))
    assert found == Counter(WORDS)
    assert job.oob_list() == sorted(f"map:{i}" for i in range(MAPS))
    info = job.jobinfo()
    assert info["counters"] == {"lines": MAPS, "different": len(found)}
    assert (info["mapi"][:3], info["redi"][:3]) == ([0, 0, MAPS], [0, 0, 2])
    check = info["check"]
    assert (check["maps"], check["done"], check["unchecked"]) == (MAPS, MAPS, 0)


def run_jobs_until_nobody_dies(cluster: NodeCluster, marks: Path, scratch: Path, *steps: str) -> None:
    """Job after job, each of which must end as it should, until nobody dies any more."""
    deadline = time.monotonic() + DEADLINE_S

    def run_jobs(number: int) -> None:
        same, other = submit(cluster.disco, scratch / f"job{number}"), submit_otherwise(cluster.disco)
        assert_right(same, deadline - time.monotonic())
        with pytest.raises(JobError, match="map:0 is not deterministic"):
            other.wait(timeout=deadline - time.monotonic())

    deadly.run_until_nobody_dies(marks, run_jobs, *steps)


def test_nodes_workers_and_horses_may_die_at_each_step_of_a_check(nodes: NodeCluster, tmp_path: Path) -> None:
    nodes.master()
    deadly_part(nodes, tmp_path / "marks", "nodes", *NAMES)

    steps = [
        *(f"horse: script {step} of check of checked" for step in ("claim_attempts", "commit_attempts")),
        "horse: script fail_attempt of check of checked",
        "horse: script commit_attempts of check of differs",
    ]
    run_jobs_until_nobody_dies(nodes, tmp_path / "marks", tmp_path, *steps)


def test_masters_may_die_at_each_step_of_a_check(nodes: NodeCluster, tmp_path: Path) -> None:
    for name in NAMES[:2]:
        nodes.node(name, slots=2)
    deadly_part(nodes, tmp_path / "marks", "master", "token")

    step = "master: [script assign_tasks of check of checked"
    run_jobs_until_nobody_dies(nodes, tmp_path / "marks", tmp_path, step)
