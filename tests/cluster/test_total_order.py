"""``partition=func.total_order``: results, one after the other, are sorted; on a cluster and locally."""

from __future__ import annotations

import gzip
import os
import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from disco_rq import Disco, JobArgumentError, func, local, result_iterator
from tests.cluster.small_jobs import PATIENCE_S
from tests.external import python_program

Run = Callable[..., Any]
NR = 5


@pytest.fixture(params=["cluster", "local"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a job to its end."""
    if request.param == "local":
        return lambda inputs, **arguments: local.run("order", inputs, partition=func.total_order, **arguments)
    disco: Disco = request.getfixturevalue("disco")

    def submitted(inputs: Any, **arguments: Any) -> Any:
        job = disco.new_job("order", inputs, partition=func.total_order, **arguments)
        job.wait(timeout=PATIENCE_S)
        return job

    return submitted


def rows(job: Any) -> list[list[Any]]:
    """The pairs of each result."""
    return [list(result_iterator([result])) for result in job.wait()]


def numbers(line: str, params: Any) -> Iterator[tuple[int, int]]:
    yield int(line), 1


def words(line: str, params: Any) -> Iterator[tuple[str, int]]:
    for word in line.split():
        yield word, 1


INPUTS: dict[str, Callable[[random.Random], list[int]]] = {
    "uniform": lambda rnd: [rnd.randrange(10**9) for _ in range(30_000)],
    "skewed": lambda rnd: [int(rnd.paretovariate(0.6)) for _ in range(30_000)],
    "sorted files": lambda rnd: list(range(100_000, 400_000, 3)),
    "few keys": lambda rnd: [rnd.randrange(7) for _ in range(30_000)],
}


@pytest.mark.parametrize("keys", INPUTS)
@pytest.mark.parametrize("form", ["pieces", "files", "packed"])
def test_results_are_in_order_and_of_about_equal_size(run: Run, keys: str, form: str, tmp_path: Path) -> None:
    found = INPUTS[keys](random.Random(6))
    options: dict[str, Any] = {}
    if form == "pieces":
        (tmp_path / "all").write_text("\n".join(map(str, found)))
        inputs, options["split_size"] = [str(tmp_path / "all")], 60_000
    else:
        inputs = []
        for i in range(6):
            text = "\n".join(map(str, found[i * len(found) // 6 : (i + 1) * len(found) // 6])).encode()
            (tmp_path / f"{i}").write_bytes(gzip.compress(text) if form == "packed" else text)
            inputs.append(str(tmp_path / f"{i}"))
    results = rows(run(inputs, map=numbers, reduce=func.nop_reduce, nr_reduces=NR, **options))
    assert [key for row in results for key, _ in row] == sorted(found)
    most_often = max(map(found.count, set(found[:7]))) if keys == "few keys" else found.count(1)
    assert max(map(len, results)) <= 2 * max(len(found) / NR, most_often)


def test_what_a_combiner_gives_is_in_order_too(run: Run, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("\n".join(f"w{n % 1000} w{n % 7} common" for n in range(20_000)))
    job = run(
        [str(tmp_path / "text")],
        map=words,
        combiner=func.sum_combiner,
        reduce=func.sum_reduce,
        nr_reduces=NR,
        split_size=50_000,
    )
    results = rows(job)
    found = [pair for row in results for pair in row]
    assert [word for word, _ in found] == sorted({*(f"w{n}" for n in range(1000)), "common"})
    assert sum(count for _, count in found) == 60_000
    assert max(map(len, results)) <= 2 * len(found) / NR


seen: list[str] = []


def telling(line: str, params: Any) -> Iterator[tuple[str, int]]:
    if line in seen:
        return  # a map that remembers: the sample must not be remembered
    seen.append(line)
    counter("lines")  # type: ignore[name-defined]  # noqa: F821
    put(f"line:{line}", line)  # type: ignore[name-defined]  # noqa: F821
    if line == "7":
        msg("seven")  # type: ignore[name-defined]  # noqa: F821
    Path("made").open("a").close()
    yield line, 1


def test_the_sample_puts_counts_says_and_remembers_nothing(run: Run, tmp_path: Path) -> None:
    (tmp_path / "lines").write_text("\n".join(map(str, range(40))))
    job = run([str(tmp_path / "lines")], map=telling, reduce=func.nop_reduce, nr_reduces=2, split_size=30)
    seen.clear()
    assert sorted(key for row in rows(job) for key, _ in row) == sorted(map(str, range(40)))
    counters = job.counters if isinstance(job, local.LocalJob) else job.jobinfo()["counters"]
    assert counters == {"lines": 40}
    assert len(job.oob_list()) == 40


def late(line: str, params: Any) -> Iterator[tuple[str, int]]:
    if line == "bad":
        raise ValueError("bad line")
    yield line, 1


def test_an_error_of_the_map_is_told_by_the_task_that_reads_the_entry(disco: Disco) -> None:
    job = disco.new_job(
        "order",
        ["raw://bad", "raw://good"],
        map=late,
        reduce=func.nop_reduce,
        nr_reduces=2,
        partition=func.total_order,
    )
    with pytest.raises(Exception, match=r"map:0.*ValueError: bad line.*in entry 1 of raw://bad"):
        job.wait(timeout=PATIENCE_S)


def test_it_needs_partitions_and_implies_sort(disco: Disco) -> None:
    with pytest.raises(JobArgumentError, match="without a reduce it takes nr_reduces"):
        disco.new_job("order", ["raw://x"], map=words, partition=func.total_order)
    job = disco.new_job(
        "order", ["raw://b a"], map=words, reduce=func.nop_reduce, nr_reduces=2, partition=func.total_order
    )
    assert [key for key, _ in result_iterator(job.wait(timeout=PATIENCE_S))] == ["a", "b"]
    told = job.jobspec()
    assert (told["sort"], told["partition"]) == (True, "disco_rq.shuffle.ranges.total_order")


PROGRAM = 'while (kv := pair()): write((kv[1], b"1"))\n'


def test_the_keys_of_a_program_are_in_order_too(run: Run, tmp_path: Path) -> None:
    lines = [f"{n * 7919 % 1000:03}" for n in range(1000)]
    (tmp_path / "lines").write_text("\n".join(lines))
    job = run(
        [str(tmp_path / "lines")],
        map=python_program(tmp_path / "program", PROGRAM),
        reduce=func.nop_reduce,
        nr_reduces=2,
        split_size=1000,
    )
    results = rows(job)
    assert [key for row in results for key, _ in row] == sorted(line.encode() for line in lines)
    assert max(map(len, results)) < 750


def first(line: str, params: Any) -> Iterator[tuple[int, int]]:
    yield int(line) + int(Path("shift").read_text()), 1


def test_the_sample_finds_the_files_that_the_job_requires(run: Run, tmp_path: Path) -> None:
    (tmp_path / "lines").write_text("\n".join(map(str, range(1000))))
    job = run(
        [str(tmp_path / "lines")],
        map=first,
        reduce=func.nop_reduce,
        nr_reduces=2,
        required_files={"shift": b"10"},
    )
    assert [len(row) for row in rows(job)] == [500, 500]


def dying(line: str, params: str) -> Iterator[tuple[int, int]]:
    if line == "500":
        with open(params, "a+b", buffering=0) as deaths:
            deaths.write(b".")
            if deaths.tell() <= 3:  # the sample, and attempts behind it
                os.kill(os.getpid(), signal.SIGKILL)
    yield int(line), 1


def test_deaths_of_the_sample_and_of_maps_lose_and_double_nothing(disco: Disco, tmp_path: Path) -> None:
    lines = random.Random(7).sample(range(1000), 1000)
    (tmp_path / "lines").write_text("\n".join(map(str, lines)))
    job = disco.new_job(
        "order",
        [str(tmp_path / "lines")],
        map=dying,
        reduce=func.nop_reduce,
        nr_reduces=3,
        params=str(tmp_path / "deaths"),
        partition=func.total_order,
        split_size=500,
        max_failures=9,
    )
    assert list(result_iterator(job.wait(timeout=PATIENCE_S))) == [(n, 1) for n in range(1000)]
    assert (tmp_path / "deaths").stat().st_size >= 4
