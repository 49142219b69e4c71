"""A reduce reads one partition of every result: those of jobs that partition otherwise are refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from disco_rq import Disco, JobArgumentError, func, local, result_iterator
from tests.cluster.small_jobs import PATIENCE_S

Run = Callable[..., Any]


@pytest.fixture(params=["cluster", "local"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a job to its end."""
    if request.param == "local":
        return lambda inputs, **arguments: local.run("alike", inputs, **arguments)
    disco: Disco = request.getfixturevalue("disco")

    def submitted(inputs: Any, **arguments: Any) -> Any:
        job = disco.new_job("alike", inputs, **arguments)
        job.wait(timeout=PATIENCE_S)
        return job

    return submitted


def numbers(line: str, params: Any) -> Iterator[tuple[int, int]]:
    yield from ((number, 1) for number in range(*map(int, line.split())))


def count(pairs: Any, params: Any) -> Iterator[tuple[int, int]]:
    for key, values in func.kvgroup(pairs):
        yield key, sum(values)


def by_halves(key: int, nr_reduces: int, params: Any) -> int:
    return key // 2 % nr_reduces


def by_rest(key: int, nr_reduces: int, params: Any) -> int:
    return key % nr_reduces


def refused(run: Run, *partitions: Any) -> str:
    inputs = [
        address
        for line, partition in zip(("raw://0 20", "raw://10 90"), partitions, strict=True)
        for address in run([line], map=numbers, nr_reduces=3, partition=partition).wait()
    ]
    with pytest.raises(JobArgumentError) as caught:
        run(inputs, reduce=count, sort=True)
    anew = run(inputs, map=func.nop_map, map_reader=func.chain_reader, reduce=count, sort=True, nr_reduces=3)
    assert sorted(result_iterator(anew.wait())) == [(n, 1 + (10 <= n < 20)) for n in range(90)]
    return str(caught.value)


def test_results_in_ranges_of_two_jobs_are_refused_for_their_ranges_differ(run: Run) -> None:
    assert "by ranges of its own (func.total_order)" in refused(run, func.total_order, func.total_order)


def test_results_of_two_partition_functions_are_refused(run: Run) -> None:
    assert "one key may be in two partitions" in refused(run, by_halves, by_rest)
    assert "by default" in refused(run, func.default_partition, by_rest)


def test_results_of_one_partition_function_meet_whichever_job_they_are_of(run: Run) -> None:
    first = run(["raw://0 20"], map=numbers, nr_reduces=3, partition=by_halves)
    second = run(["raw://10 30"], map=numbers, nr_reduces=3, partition=by_halves, params="others")

    merged = run([*first.wait(), *second.wait()], reduce=count, sort=True)

    assert sorted(result_iterator(merged.wait())) == [(n, 1 + (10 <= n < 20)) for n in range(30)]


def by_modulus(key: int, nr_reduces: int, params: Any) -> int:
    return key % int(params)


def test_results_of_one_function_with_other_params_are_refused_if_it_looks_at_them(run: Run) -> None:
    inputs = [
        address
        for modulus in (2, 3)
        for address in run(
            ["raw://0 9"], map=numbers, nr_reduces=3, partition=by_modulus, params=modulus
        ).wait()
    ]

    with pytest.raises(JobArgumentError, match="one key may be in two partitions"):
        run(inputs, reduce=count, sort=True)


def test_what_only_passes_pairs_may_merge_any_partitions(run: Run) -> None:
    first = run(["raw://0 9"], map=numbers, nr_reduces=3, partition=by_halves)
    second = run(["raw://0 9"], map=numbers, nr_reduces=3, partition=by_rest)

    merged = run([*first.wait(), *second.wait()], reduce=func.nop_reduce)

    assert sorted(result_iterator(merged.wait())) == sorted([(n, 1) for n in range(9)] * 2)
