"""The same jobs in one process and on a cluster: the same pairs, OOB results and counters."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from disco_rq import Disco, Params, external, func, result_iterator
from disco_rq.examples import external as examples
from disco_rq.local import runner as local
from disco_rq.local.runner import LocalJob
from disco_rq.runtime import counter, data_err, get, put, this_inputs, this_partition
from tests.cluster.small_jobs import is_first_attempt, run

SHELL = Path(examples.__path__[0]) / "longest.sh"


def words(e: str, params: Any) -> Iterator[tuple[str, int]]:
    counter("lines")
    for word in e.split():
        yield word, 1


def counted(iter: Iterator[Any], params: Any) -> Iterator[tuple[str, int]]:
    for word, ones in func.kvgroup(iter):
        yield word, sum(ones)


def put_statistics(e: str, params: Any) -> list[tuple[int, str]]:
    params["seen"].append(e)
    if len(params["seen"]) == 1:
        put(f"map:{this_partition()}", [this_inputs()[0].rpartition("/")[2], params["seen"]])
    return [(len(e), e)]


def get_statistics(iter: Iterator[Any], out: Any, params: Any) -> None:
    put(f"reduce:{this_partition()}", b"\0\xff")
    for key, value in iter:
        out.add((key, value), get("map:0"))


def by_length(key: Any, nr_reduces: int, params: Any) -> int:
    return len(str(key)) % nr_reduces


def upper(input_iter: Iterator[Any], params: Any) -> None:
    params.first = next(input_iter).upper()


def first_and_rest(e: str, params: Any) -> list[tuple[str, complex]]:
    return [(params.first, complex(len(e)))]


def triples(fd: Any, size: int | None, fname: str) -> Iterator[tuple[str, str]]:
    for line in func.map_line_reader(fd, size, fname):
        yield line[:1], line


def fails_once(e: str, params: Any) -> list[tuple[str, str]]:
    if is_first_attempt(f"{params}/{this_partition()}"):
        counter("never")
        put(f"never:{this_partition()}", 1)
        data_err("the first time")
    return [(e, "again")]


JOBS: dict[str, dict[str, Any]] = {
    "word count": {"map": words, "reduce": counted, "sort": True, "nr_reduces": 3},
    "sums": {"map": words, "combiner": func.sum_combiner, "reduce": func.sum_reduce, "nr_reduces": 2},
    "spilling": {"map": words, "reduce": counted, "sort": True, "nr_reduces": 2, "mem_sort_limit": 1 << 20},
    "map only": {"map": words},
    "map only, partitioned": {"map": words, "nr_reduces": 4, "partition": by_length},
    "OOB": {"map": put_statistics, "params": {"seen": []}, "reduce": get_statistics, "nr_reduces": 2},
    "init and object writers": {
        "map_init": upper,
        "map": first_and_rest,
        "params": Params(),
        "map_writer": func.object_writer,
        "reduce_reader": func.object_reader,
        "reduce_writer": func.object_writer,
        "reduce": func.nop_reduce,
        "nr_reduces": 2,
    },
    "external reduce": {
        "map": func.nop_map,
        "map_reader": triples,
        "reduce": external([SHELL], text=True),
        "sort": True,
        "nr_reduces": 2,
    },
}


@pytest.fixture
def texts(tmp_path: Path) -> list[str]:
    rnd = random.Random(3)
    for number in range(3):
        rows = (" ".join(f"w{rnd.randrange(10 ** rnd.randrange(1, 4))}" for _ in range(9)) for _ in range(7))
        (tmp_path / f"text{number}").write_text("".join(f"{row} é\n" for row in rows))
    return [str(tmp_path / f"text{number}") for number in range(3)]


def told(job: Any, **arguments: Any) -> dict[str, Any]:
    """What a job gave, however it ran."""
    reader = func.object_reader if "reduce_writer" in arguments else None
    counters = job.counters if isinstance(job, LocalJob) else job.jobinfo()["counters"]
    return {
        "partitions": [sorted(result_iterator([result], reader=reader), key=repr) for result in job.wait()],
        "oob": {key: job.oob_get(key) for key in job.oob_list()},
        "counters": counters,
    }


@pytest.mark.parametrize("name", JOBS)
def test_a_job_gives_the_same_here_and_on_a_cluster(name: str, disco: Disco, texts: list[str]) -> None:
    arguments = JOBS[name]

    here = local.run("small", texts, **arguments)
    there = run(disco, input=texts, **arguments)

    assert told(here, **arguments) == told(there, **arguments)
    assert here.results()[0] == there.results()[0] == "ready"


def test_failed_attempts_leave_nothing_here_and_on_a_cluster(
    disco: Disco, texts: list[str], tmp_path: Path
) -> None:
    jobs: list[Any] = []
    starts: list[Any] = [local.run, disco.new_job]
    for start in starts:
        marks = tmp_path / start.__name__
        marks.mkdir()
        jobs.append(start("small", [texts[0]], map=fails_once, params=str(marks), split_size=300))

    jobs[1].wait(timeout=30)
    assert told(jobs[0]) == told(jobs[1])
    assert told(jobs[0])["counters"] == {}
    here, there = ([message for _, (_, _, message) in job.events()] for job in jobs)
    failed = [line for line in here if "failed" in line]
    assert failed == sorted(line for line in there if "failed" in line)
    assert failed[0].startswith("Task map:0 failed (attempt 1 on localhost): DataError: the first time")


def test_chained_and_reduce_only_jobs_give_the_same(disco: Disco, texts: list[str]) -> None:
    def chain(start: Any) -> dict[str, Any]:
        first = start("first", texts, map=words, reduce=counted, sort=True, nr_reduces=2)
        first.wait()
        swap: dict[str, Any] = {"map_reader": func.chain_reader, "map": lambda e, params: [(e[1], e[0])]}
        parted = start("second", first.wait(), nr_reduces=2, **swap)
        merged = start("third", parted.wait(), reduce=func.nop_reduce, sort=True)
        merged.wait()
        return told(merged)

    assert chain(local.run) == chain(disco.new_job)


def test_saved_results_have_the_same_names_and_content(
    disco: Disco, texts: list[str], tmp_path: Path
) -> None:
    contents = []
    starts: list[Any] = [local.run, disco.new_job]
    for number, start in enumerate(starts):
        job = start(
            "small",
            texts,
            map=words,
            reduce=counted,
            sort=True,
            nr_reduces=2,
            save=str(tmp_path / f"out{number}"),
            save_format="text",
        )
        paths = [Path(address) for address in job.wait()]
        contents.append({path.name: path.read_text() for path in paths})
        assert [path.parent for path in paths] == [tmp_path / f"out{number}" / job.name] * 2
        assert sorted(path.name for path in paths[0].parent.iterdir()) == sorted(path.name for path in paths)

    assert contents[0] == contents[1]
