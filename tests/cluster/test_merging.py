"""Jobs with a reduce only: results of other jobs are merged and joined by partition, anything else by one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from disco_rq import Disco, Job, JobArgumentError, result_iterator
from disco_rq.func import (
    chain_reader,
    kvgroup,
    map_line_reader,
    nop_reduce,
    object_reader,
    object_writer,
)
from disco_rq.runtime import put, this_inputs, this_partition
from tests.cluster.small_jobs import data_dir, death, pairs, run

N = 7


def key_and_value(entry: str, params: Any) -> Iterator[tuple[int, int]]:
    for pair in entry.split():
        key, _, value = pair.partition(":")
        yield int(key), int(value)


def own_partition(key: int, nr_reduces: int, params: Any) -> int:
    return key


def maps(disco: Disco, *lines: str, **arguments: Any) -> Job:
    """A map-only job whose partitions are the keys."""
    options: dict[str, Any] = {"map": key_and_value, "partition": own_partition, "nr_reduces": N} | arguments
    return run(disco, input=[f"raw://{line}" for line in lines], **options)


def total(iter: Any, out: Any, params: Any) -> None:
    put(f"partition:{this_partition()}", len(this_inputs()))
    sums: dict[int, int] = {}
    for key, value in iter:
        sums[key] = sums.get(key, 0) + value
    for key, value in sums.items():
        out.add(key, (this_partition(), value))


def test_partitioned_results_of_two_jobs_are_merged_partition_by_partition(disco: Disco) -> None:
    first = maps(disco, "0:1 1:1 2:1", "3:1 4:1 5:1 6:1")
    second = maps(disco, " ".join(f"{key}:{key * 10}" for key in range(N)))
    inputs = [*first.wait(), *second.wait()]

    merged = disco.new_job("merged", inputs, reduce=total, nr_reduces=N)

    assert dict(result_iterator(merged.wait(timeout=30))) == {key: (key, key * 10 + 1) for key in range(N)}
    assert {merged.oob_get(f"partition:{key}") for key in range(N)} == {3}
    info = merged.jobinfo()
    assert (info["mapi"], info["redi"]) == ([0, 0, 0, 0], [0, 0, N, 0])
    assert info["inputs"] == [[address] for address in inputs]


def test_without_nr_reduces_there_is_one_for_each_partition(disco: Disco) -> None:
    assert run(disco, input=maps(disco, "1:1").wait(), reduce=nop_reduce).jobinfo()["redi"] == [0, 0, N, 0]


def test_sorted_results_join_by_key(disco: Disco) -> None:
    def tagged(entry: str, params: Any) -> list[tuple[str, tuple[str, str]]]:
        key, _, value = entry.partition("=")
        return [(key, (params, value))]

    def join(pairs: Any, params: Any) -> Iterator[tuple[str, tuple[str, str]]]:
        for key, values in kvgroup(pairs):
            sides: dict[str, list[str]] = {"name": [], "city": []}
            for side, value in values:
                sides[side].append(value)
            yield from ((key, (name, city)) for name in sides["name"] for city in sides["city"])

    names = run(disco, input=["raw://1=Ann", "raw://2=Bob"], map=tagged, params="name", nr_reduces=3)
    cities = run(
        disco, input=["raw://2=Oslo", "raw://1=Rome", "raw://3=Bonn"], map=tagged, params="city", nr_reduces=3
    )

    joined = run(disco, input=[*names.wait(), *cities.wait()], reduce=join, sort=True)

    assert sorted(pairs(joined)) == [("1", ("Ann", "Rome")), ("2", ("Bob", "Oslo"))]


def test_a_map_only_job_with_partitions_is_read_like_any_other(disco: Disco) -> None:
    job = maps(disco, "5:1 0:2", "0:3")

    assert len(job.wait()) == 2
    assert sorted(pairs(job)) == [(0, 2), (0, 3), (5, 1)]
    again = run(disco, input=job.wait(), map=lambda pair, params: [pair], map_reader=chain_reader)
    assert sorted(pairs(again)) == sorted(pairs(job))


@pytest.mark.parametrize("reader", [None, chain_reader])
def test_results_of_reduces_are_merged_by_one(disco: Disco, reader: Any) -> None:
    counted = run(disco, input=["raw://1:1 2:2 3:3"], map=key_and_value, reduce=nop_reduce, nr_reduces=3)

    merged = run(disco, input=counted.wait(), reduce=nop_reduce, reduce_reader=reader, sort=True)

    assert pairs(merged) == [(1, 1), (2, 2), (3, 3)]


def test_files_of_any_kind_are_reduced_by_one_with_a_reader(disco: Disco, text_files: list[str]) -> None:
    def lines(fd: Any, size: int | None, fname: str) -> Iterator[tuple[str, int]]:
        for line in map_line_reader(fd, size, fname):
            yield line, 1

    def count(pairs: Any, params: Any) -> Iterator[tuple[str, int]]:
        for line, ones in kvgroup(pairs):
            yield line, sum(ones)

    job = run(disco, input=text_files, reduce=count, reduce_reader=lines, sort=True)

    assert pairs(job) == [("jumps over the lazy dog", 10), ("the quick brown fox", 10)]


def test_saved_results_are_merged_without_the_nodes_that_made_them(disco: Disco, tmp_path: Path) -> None:
    saved = run(disco, input=["raw://1:1", "raw://2:2"], map=key_and_value, save=str(tmp_path)).wait()

    assert pairs(run(disco, input=saved, reduce=nop_reduce, sort=True)) == [(1, 1), (2, 2)]


def test_saved_partitioned_results_are_whole_and_have_one_partition(disco: Disco, tmp_path: Path) -> None:
    saved = maps(disco, "0:1 6:2", "6:3", save=str(tmp_path)).wait()

    assert sorted(result_iterator(saved)) == [(0, 1), (6, 2), (6, 3)]
    assert sorted(pairs(run(disco, input=saved, reduce=nop_reduce))) == [(0, 1), (6, 2), (6, 3)]
    with pytest.raises(JobArgumentError, match="nr_reduces=7"):
        disco.new_job("wrong", saved, reduce=nop_reduce, nr_reduces=N)


def test_what_a_writer_wrote_is_read_by_partition_with_its_reader(disco: Disco) -> None:
    job = maps(disco, "0:1 6:2", "6:3", map_writer=object_writer)

    merged = run(disco, input=job.wait(), reduce=total, reduce_reader=object_reader)

    assert sorted(pairs(merged)) == [(0, (0, 1)), (6, (6, 5))]


def test_text_without_a_reader_ends_the_job_with_what_is_missing(disco: Disco) -> None:
    told = death(disco, input=["raw://no record file"], reduce=nop_reduce)

    assert "raw://no record file is no result of a job: it takes a reduce_reader" in told


def test_the_wrong_number_of_reduces_is_refused_at_submit(disco: Disco) -> None:
    results = maps(disco, "1:1").wait()
    before = len(disco.joblist())

    with pytest.raises(JobArgumentError, match=f"nr_reduces=2.* has {N} partitions"):
        disco.new_job("wrong", results, reduce=nop_reduce, nr_reduces=2)
    assert len(disco.joblist()) == before


def test_a_purged_input_is_refused_at_submit(disco: Disco) -> None:
    job = maps(disco, "1:1")
    results = job.wait()
    job.purge()

    with pytest.raises(JobArgumentError, match=rf"input {results[0]}: .*No such file"):
        disco.new_job("late", results, reduce=nop_reduce)


def test_an_input_that_is_lost_later_ends_the_job_naming_it(disco: Disco) -> None:
    job = maps(disco, "1:1", "2:2")
    results = job.wait()
    (data_dir(disco, job) / "map-1.1").unlink()

    told = death(disco, input=results, reduce=nop_reduce, max_failures=0)

    assert f"DataError: cannot read {results[1]}" in told.replace("CorruptData", "DataError")
    assert job.results()[0] == "ready"


def test_cleaned_jobs_can_be_merged_and_purged(disco: Disco) -> None:
    job = maps(disco, "1:1")
    results = job.wait(clean=True)

    assert pairs(run(disco, input=results, reduce=nop_reduce)) == [(1, 1)]
    disco.purge(job.name)
    assert not data_dir(disco, job).exists()


def test_no_input_is_ready_without_results(disco: Disco) -> None:
    assert run(disco, input=[], reduce=nop_reduce).wait() == []
