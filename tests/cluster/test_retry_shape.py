"""``retry`` with another shape of the job: a reduce more or less, other partitions, inputs cut otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from disco_rq import Disco, Job, JobArgumentError, JobError, func, result_iterator
from disco_rq.runtime import err
from tests.cluster.small_jobs import PATIENCE_S

INPUTS = ["raw://a b", "raw://b c", "raw://bad"]
COUNTS = {"a": 1, "b": 2, "bad": 1, "c": 1}


def fails_at_bad(line: str, params: Any) -> Iterator[tuple[str, int]]:
    if line == "bad":
        err("bad")
    yield from words(line, params)


def words(line: str, params: Any) -> Iterator[tuple[str, int]]:
    yield from ((word, 1) for word in line.split())


def sums(pairs: Any, params: Any) -> Iterator[tuple[str, int]]:
    yield from ((word, sum(ones)) for word, ones in func.kvgroup(pairs))


def fails(pairs: Any, params: Any) -> Iterator[tuple[str, int]]:
    err("bad")
    yield from pairs


def died(disco: Disco, inputs: list[str], **arguments: Any) -> Job:
    job = disco.new_job("shape", inputs, scheduler={"max_cores": 1}, **arguments)
    with pytest.raises(JobError):
        job.wait(timeout=PATIENCE_S)
    return job


def pairs(job: Job) -> list[Any]:
    return list(result_iterator(job.wait(timeout=PATIENCE_S)))


def test_a_reduce_that_is_added_has_as_many_partitions_as_in_a_new_job(disco: Disco) -> None:
    first = died(disco, INPUTS, map=fails_at_bad)

    job = first.retry(map=words, reduce=sums, sort=True)

    assert dict(pairs(job)) == COUNTS
    assert (job.jobinfo()["kept"], job.jobspec()["nr_reduces"]) == (0, 1)
    with pytest.raises(JobArgumentError, match="have 0 partitions"):
        first.retry(keep=True, map=words, reduce=sums, sort=True)


def test_a_reduce_that_is_taken_away_leaves_the_pairs_of_the_maps(disco: Disco, tmp_path: Path) -> None:
    first = died(disco, INPUTS, map=fails_at_bad, reduce=sums, nr_reduces=2, save=tmp_path / "out")

    job = first.retry(keep=True, map=words, reduce=None)

    assert sorted(pairs(job)) == [("a", 1), ("b", 1), ("b", 1), ("bad", 1), ("c", 1)]
    assert job.jobinfo()["kept"] == 0  # their outputs were not saved
    assert len(list((tmp_path / "out" / job.name).glob("part-*"))) == 3


def test_saved_results_of_maps_are_not_given_to_a_reduce(disco: Disco, tmp_path: Path) -> None:
    first = died(disco, INPUTS, map=fails_at_bad, nr_reduces=2, sort=True, save=tmp_path / "out")

    assert dict(pairs(first.retry(map=words, reduce=sums))) == COUNTS
    with pytest.raises(JobArgumentError, match="saved results, which no reduce reads"):
        first.retry(keep=True, map=words, reduce=sums)


@pytest.mark.parametrize("nr_reduces", [1, 3])
def test_a_job_that_merges_keeps_the_partitions_of_its_inputs(disco: Disco, nr_reduces: int) -> None:
    maps = disco.new_job("maps", INPUTS, map=words, nr_reduces=2)
    first = died(disco, list(maps.wait(timeout=PATIENCE_S)), reduce=fails, sort=True)

    assert dict(pairs(first.retry(reduce=sums, nr_reduces=2))) == COUNTS
    with pytest.raises(JobArgumentError, match="one for each partition of its inputs: 2"):
        first.retry(reduce=sums, nr_reduces=nr_reduces)


def test_an_input_is_cut_otherwise_only_where_it_is_named_again(disco: Disco, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("word,n\n" + "a,1\n" * 500 + "bad\n")
    first = died(disco, [str(file)], map=fails_at_bad, split_size=1000)

    def row(row: Any, params: Any) -> Iterator[tuple[str, int]]:
        yield row["word"], int(row["n"] or 0)

    with pytest.raises(JobArgumentError, match="split_size=500: the input stays as it was cut"):
        first.retry(map=words, split_size=500)
    with pytest.raises(JobArgumentError, match="map_reader: the files were cut for the earlier one"):
        first.retry(map=row, map_reader=func.csv_reader())
    job = first.retry(map=row, map_reader=func.csv_reader(), max_bad=1, input=[str(file)])
    assert pairs(job) == [("a", 1)] * 500
