"""A small job is one batch in one process; what fails or takes long there is spread, and the answer is the
same.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from disco_rq import Disco, Job, Params, result_iterator
from disco_rq.func import kvgroup
from disco_rq.runtime import counter, data_err, put, this_partition
from tests.cluster.conftest import wait_until
from tests.cluster.small_jobs import pairs, wait_for_death
from tests.nodes import NodeCluster

INPUT = ["raw://a b a", "raw://b c", "raw://a"]
TOTALS = {"a": 3, "b": 2, "c": 1}
ARGUMENTS: dict[str, Any] = {"sort": True, "nr_reduces": 2}


def words(line: str, params: Any) -> Iterator[tuple[str, int]]:
    put(f"map:{this_partition()}", os.getpid())
    counter("lines")
    for word in line.split():
        yield word, 1


def totals(rows: Any, params: Any) -> Iterator[tuple[str, int]]:
    put(f"reduce:{this_partition()}", os.getpid())
    for word, ones in kvgroup(rows):
        yield word, sum(ones)


def pids(job: Job) -> set[int]:
    return {job.oob_get(key) for key in job.oob_list()}


def attempts(job: Job, *tasks: str) -> list[list[str]]:
    return [[one["outcome"] for one in job.story(task)] for task in tasks]


ALL = ("map:0", "map:1", "map:2", "reduce:0", "reduce:1")


@pytest.fixture(scope="module")
def patient() -> Iterator[Disco]:
    """A cluster of one slot that takes nothing for long, however busy the machine is."""
    with NodeCluster() as cluster:
        cluster.master()
        cluster.program("untold", ["tests.cluster.untold", "untold"])
        wait_until(lambda: cluster.slots("untold"))
        yield cluster.disco


def test_its_maps_and_reduces_run_in_one_process(patient: Disco) -> None:
    job = patient.new_job("small", INPUT, map=words, reduce=totals, **ARGUMENTS)

    assert dict(pairs(job)) == TOTALS
    assert len(pids(job)) == 1
    assert attempts(job, *ALL) == [["done"]] * 5
    assert job.jobinfo()["counters"] == {"lines": 3}


def test_the_next_job_runs_in_another_process(patient: Disco) -> None:
    found = []
    for _ in range(3):
        job = patient.new_job("small", INPUT, map=words, reduce=totals, **ARGUMENTS)
        assert dict(pairs(job)) == TOTALS
        found.append(pids(job))

    assert len(set.union(*found)) == 3


def test_maps_that_take_long_run_at_the_same_time_and_each_is_tried_once(
    disco: Disco, tmp_path: Path
) -> None:
    def meet(line: str, params: Any) -> Iterator[tuple[str, int]]:
        Path(params.directory, str(this_partition())).touch()
        deadline = time.monotonic() + 30
        while len(list(Path(params.directory).iterdir())) < 2:
            assert time.monotonic() < deadline, "the other one has not begun"
            time.sleep(0.002)
        yield from words(line, params)

    params = Params(directory=str(tmp_path))
    job = disco.new_job("meet", INPUT[:2], map=meet, reduce=totals, params=params, **ARGUMENTS)

    assert dict(pairs(job)) == {"a": 2, "b": 2, "c": 1}
    assert attempts(job, "map:0", "map:1", "reduce:0", "reduce:1") == [["done"]] * 4
    assert len({job.oob_get("map:0"), job.oob_get("map:1")}) == 2


def test_a_map_that_fails_is_tried_again_and_nothing_behind_it_was(disco: Disco, tmp_path: Path) -> None:
    def once(line: str, params: Any) -> Iterator[tuple[str, int]]:
        if this_partition() == 1 and not Path(params.mark).exists():
            Path(params.mark).touch()
            data_err("not yet")
        yield from words(line, params)

    job = disco.new_job(
        "once", INPUT, map=once, reduce=totals, params=Params(mark=str(tmp_path / "m")), **ARGUMENTS
    )

    assert dict(pairs(job)) == TOTALS
    assert attempts(job, *ALL) == [["done"], ["data", "done"], ["done"], ["done"], ["done"]]
    assert job.jobinfo()["counters"] == {"lines": 3}


@pytest.mark.parametrize("phase", ["map", "reduce"])
def test_its_process_dies_and_the_answer_is_the_same(disco: Disco, tmp_path: Path, phase: str) -> None:
    def die_once() -> None:
        mark = tmp_path / "died"
        if not mark.exists():
            mark.touch()
            os._exit(1)

    def dying_words(line: str, params: Any) -> Iterator[tuple[str, int]]:
        if phase == "map" and this_partition() == 1:
            die_once()
        yield from words(line, params)

    def dying_totals(rows: Any, params: Any) -> Iterator[tuple[str, int]]:
        if phase == "reduce" and this_partition() == 1:
            die_once()
        yield from totals(rows, params)

    job = disco.new_job("dies", INPUT, map=dying_words, reduce=dying_totals, **ARGUMENTS)

    assert dict(pairs(job)) == TOTALS
    assert attempts(job, f"{phase}:1") == [["data", "done"]]
    assert job.jobinfo()["counters"] == {"lines": 3}


def test_an_error_ends_it_with_its_cause(disco: Disco) -> None:
    def wrong(line: str, params: Any) -> Iterator[tuple[str, int]]:
        raise ValueError("no such word")
        yield

    job = disco.new_job("wrong", INPUT, map=wrong, reduce=totals, **ARGUMENTS)

    assert "no such word" in wait_for_death(job)
    # They were never begun, be it that the batch was so slow that others were asked for them.
    assert all(told in ([], ["stopped"]) for told in attempts(job, "reduce:0", "reduce:1"))


def test_what_it_leaves_in_its_process_no_other_task_of_it_meets(disco: Disco) -> None:
    def leaves_a_thread(line: str, params: Any) -> Iterator[tuple[str, int]]:
        import threading

        threading.Thread(target=time.sleep, args=[60], daemon=True).start()
        yield from words(line, params)

    job = disco.new_job("threads", INPUT, map=leaves_a_thread, reduce=totals, **ARGUMENTS)

    assert dict(result_iterator(job.wait(timeout=30))) == TOTALS
    assert len({job.oob_get(f"map:{index}") for index in range(3)}) == 3
