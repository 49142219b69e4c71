"""Faults that Disco 0.2 had, which must not return.

Two more are held elsewhere: results that a node thought lost doubled (``test_survival``: a node that comes
back with a finished zombie attempt changes nothing), and the hash seed (``test_shuffle_order``: every process
and hash seed gives the same partitions).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from disco_rq import Disco, JobError, UnknownJob, result_iterator
from disco_rq.client.arguments import Scheduler
from disco_rq.func import chain_reader, kvgroup, nop_reduce
from disco_rq.runtime import put, this_host
from tests.cluster.small_jobs import death, outcome, pairs, run, wait_for_file
from tests.nodes import NodeCluster


def gated(entry: str, params: str) -> list[tuple[str, int]]:
    """Goes on when the test makes a file."""
    wait_for_file(params)
    return [(entry, 1)]


def test_wait_with_clean_leaves_a_job_that_still_runs_alone(disco: Disco, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    job = disco.new_job("running", ["raw://a"], map=gated, params=str(gate))

    with pytest.raises(JobError, match="Timeout"):
        job.wait(timeout=0.3, clean=True)
    assert job.results(timeout=0)[0] == "active"
    assert job.name in [name for _, _, name in disco.joblist()]

    gate.touch()
    results = job.wait(timeout=30, clean=True)
    assert list(result_iterator(results)) == [("a", 1)]
    with pytest.raises(UnknownJob):
        job.jobinfo()


def test_wait_with_clean_leaves_a_dead_job_to_be_looked_at(disco: Disco) -> None:
    job = disco.new_job("dead", ["raw://a"], map=lambda entry, params: [(entry, 1 / 0)])

    with pytest.raises(JobError, match="ZeroDivisionError"):
        job.wait(timeout=30, clean=True)
    assert job.jobinfo()["active"] == "dead"


@pytest.mark.parametrize("timeout", [0, 0.2, 1])
def test_wait_ends_when_its_timeout_is_over(disco: Disco, tmp_path: Path, timeout: float) -> None:
    gate = tmp_path / "gate"
    job = disco.new_job("slow", ["raw://a"], map=gated, params=str(gate))
    began = time.monotonic()

    with pytest.raises(JobError, match="Timeout"):
        job.wait(timeout=timeout)

    assert timeout <= time.monotonic() - began < timeout + 15  # the task waits for the gate
    gate.touch()
    assert job.wait(timeout=30)


@pytest.mark.parametrize("key", ["a b", "good:then/bad", "a\n", "ok" + "é", "a\0", "-" * 257])
def test_every_character_of_an_oob_key_is_checked(disco: Disco, key: str) -> None:
    def putting(entry: str, params: Any) -> list[tuple[str, str]]:
        return [("outcome", outcome(lambda: put(params, "value")))]

    job = run(disco, map=putting, params=key)

    assert pairs(job) == [("outcome", "OOBKeyInvalid")]
    assert job.oob_list() == []


def test_force_local_false_is_not_true(nodes: NodeCluster) -> None:
    nodes.master()
    nodes.node("A")
    nodes.wait_ready()
    made = nodes.disco.new_job("made", ["raw://a"], map=lambda entry, params: [(entry, 1)]).wait(timeout=30)
    assert made[0].startswith("disco://A/")
    nodes.node("B")
    nodes.wait_ready()
    nodes.disco.blacklist("A")

    def where(pair: Any, params: Any) -> list[tuple[Any, str]]:
        return [(pair, this_host())]

    schedulers: list[Scheduler] = [{"force_local": False}, {"force_local": False, "force_remote": False}, {}]
    for scheduler in schedulers:
        job = nodes.disco.new_job("where", made, map=where, map_reader=chain_reader, scheduler=scheduler)
        assert list(result_iterator(job.wait(timeout=30))) == [(("a", 1), "B")]


@pytest.mark.parametrize("reduce", [None, nop_reduce])
def test_a_job_without_input_is_ready(disco: Disco, reduce: Any) -> None:
    job = disco.new_job("empty", [], map=lambda entry, params: [(entry, 1)], reduce=reduce)

    assert job.wait(timeout=30) == []
    assert job.results() == ("ready", [])
    assert job.jobinfo()["cause"] is None


def test_a_key_has_one_partition_whatever_process_maps_it(nodes: NodeCluster, tmp_path: Path) -> None:
    """Two nodes are two Python processes, with different hash seeds."""
    nodes.master()
    nodes.node("A")
    nodes.node("B")
    nodes.wait_ready()

    def keys_on_both(entry: str, params: str) -> Iterator[tuple[Any, int]]:
        Path(params, this_host()).touch()
        for host in "AB":
            wait_for_file(f"{params}/{host}")
        for n in range(50):
            yield from ((key, 1) for key in (f"key {n}", n, (n, str(n)), b"key %d" % n, n + 0.5))

    def count(pairs: Any, params: Any) -> Iterator[tuple[Any, int]]:
        for key, ones in kvgroup(pairs):
            yield key, sum(ones)

    job = nodes.disco.new_job(
        "keys",
        ["raw://1", "raw://2"],
        map=keys_on_both,
        reduce=count,
        sort=True,
        nr_reduces=5,
        params=str(tmp_path),
    )

    counts = list(result_iterator(job.wait(timeout=60)))
    assert len(counts) == 250
    assert {number for _, number in counts} == {2}


@pytest.mark.parametrize("limit", [256 << 20, 1 << 20], ids=["in memory", "spilled"])
def test_sorting_takes_spaces_nuls_and_newlines(disco: Disco, limit: int) -> None:
    keys = ["a b", "a\0b", "a\nb", "a\tb", " ", "\0", "", "ab", "a", "\0\0", "é ü"]

    def many(entry: str, params: list[str]) -> Iterator[tuple[str, str]]:
        for n in range(2000):
            for key in params:
                yield key, f"{n} \0\n\t" * 10

    def count(pairs: Any, params: Any) -> Iterator[tuple[str, int]]:
        for key, values in kvgroup(pairs):
            yield key, len(set(values))

    job = run(disco, map=many, reduce=count, params=keys, sort=True, mem_sort_limit=limit)

    assert pairs(job) == [(key, 2000) for key in sorted(keys)]


def test_absolute_file_addresses_are_read(disco: Disco, tmp_path: Path) -> None:
    (tmp_path / "a b%20c.txt").write_text("line\n")

    job = run(disco, input=[f"file://{tmp_path}/a b%20c.txt"], map=lambda line, params: [(line, 1)])

    assert tmp_path.is_absolute()
    assert pairs(job) == [("line", 1)]


def test_a_partition_out_of_range_is_told_and_loses_nothing(disco: Disco) -> None:
    told = death(
        disco,
        map=lambda entry, params: [(entry, 1)],
        reduce=nop_reduce,
        partition=lambda key, nr_reduces, params: nr_reduces,
        nr_reduces=3,
    )
    assert "the partition function answered 3 for the key 'entry'" in told
