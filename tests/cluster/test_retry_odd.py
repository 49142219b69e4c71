"""``retry`` of jobs of every kind: programs, inputs with maps of their own, required files, no map at all."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from disco_rq import Disco, Job, JobArgumentError, JobError, Params, records_input, result_iterator
from disco_rq.runtime import err
from tests.cluster.small_jobs import PATIENCE_S
from tests.external import python_program

ONE_SLOT: dict[str, Any] = {"scheduler": {"max_cores": 1}}


def died(job: Job) -> Job:
    with pytest.raises(JobError):
        job.wait(timeout=PATIENCE_S)
    return job


def pairs(job: Job) -> list[Any]:
    return sorted(result_iterator(job.wait(timeout=PATIENCE_S)))


def fails_at_bad(line: str, params: Any) -> Iterator[tuple[str, Any]]:
    if line == "bad":
        err("bad")
    yield line, getattr(params, "word", None)


def upper(line: str, params: Any) -> Iterator[tuple[str, Any]]:
    yield line.upper(), getattr(params, "word", None)


def nothing_fails(line: str, params: Any) -> Iterator[tuple[str, Any]]:
    yield line, getattr(params, "word", None)


def fails_in_reduce(pairs: Any, params: Any) -> Iterator[tuple[Any, Any]]:
    err("bad")
    yield from pairs


def keeps_all(pairs: Any, params: Any) -> Iterator[tuple[Any, Any]]:
    yield from pairs


MAP_PROGRAM = """
while (entry := pair()) is not None:
    if entry[1] == b"bad" and b"mended" not in params:
        print("**<ERR> bad", file=sys.stderr, flush=True)
        sys.exit(1)
    write((entry[1], params))
"""


def test_a_program_goes_on_with_its_parameters_or_others(disco: Disco, tmp_path: Path) -> None:
    program = python_program(tmp_path / "map", MAP_PROGRAM)
    inputs = [f"raw://{word}" for word in ("a", "b", "bad")]
    first = died(disco.new_job("program", inputs, map=program, ext_params={"k": "v"}, **ONE_SLOT))

    again = died(first.retry())
    assert again.jobinfo()["kept"] == 2
    job = again.retry(ext_params={"k": "mended"})

    found = dict(pairs(job))
    assert job.jobinfo()["kept"] == 2
    assert (b"v" in found[b"a"], b"mended" in found[b"bad"]) == (True, True)


def test_maps_of_the_inputs_own_stay_with_their_inputs(disco: Disco) -> None:
    inputs = [(["raw://a", "raw://b"], upper), (["raw://c", "raw://bad"], fails_at_bad)]
    first = died(disco.new_job("sides", inputs, params=Params(word=1), **ONE_SLOT))

    again = died(first.retry(params=Params(word=2)))
    assert again.jobinfo()["kept"] == 3
    with pytest.raises(JobArgumentError, match="maps of their own"):
        first.retry(map=nothing_fails)
    job = again.retry(input=[(["raw://a", "raw://b"], upper), (["raw://c", "raw://bad"], nothing_fails)])

    assert pairs(job) == [("A", 1), ("B", 1), ("bad", 2), ("c", 1)]


def test_what_a_job_requires_goes_along(disco: Disco, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("kept")

    def reads(line: str, params: Any) -> Iterator[tuple[str, str]]:
        yield line, Path("words.txt").read_text()

    first = died(
        disco.new_job(
            "required",
            ["raw://a", "raw://bad"],
            map=fails_at_bad,
            reduce=keeps_all,
            nr_reduces=1,
            required_files=[tmp_path / "words.txt"],
            **ONE_SLOT,
        )
    )
    (tmp_path / "words.txt").unlink()

    job = first.retry(map=reads)

    assert pairs(job) == [("a", None), ("bad", "kept")]


def test_records_that_travel_with_the_job_are_there(disco: Disco) -> None:
    records = records_input([{"n": i} for i in range(6)], maps=3)

    def numbers(row: Any, params: Any) -> Iterator[tuple[int, int]]:
        if row["n"] == 5 and params != 1:
            err("five")
        yield row["n"], 1

    first = died(disco.new_job("records", records, map=numbers, **ONE_SLOT))

    job = first.retry(params=1)

    assert pairs(job) == [(i, 1) for i in range(6)]
    assert job.jobinfo()["kept"] == 2


def test_a_job_without_a_map_keeps_the_reduces_that_are_done(disco: Disco) -> None:
    def by_number(key: Any, nr: int, params: Any) -> int:
        return int(key) % nr

    def numbered(line: str, params: Any) -> Iterator[tuple[int, str]]:
        yield int(line), line

    def fails_last(pairs: Any, params: Any) -> Iterator[tuple[int, str]]:
        for key, value in pairs:
            if key == 2 and params != 1:
                err("two")
            yield key, value

    inputs = [f"raw://{i}" for i in range(3)]
    maps = disco.new_job("maps", inputs, map=numbered, partition=by_number, nr_reduces=3)
    results = maps.wait(timeout=PATIENCE_S)
    first = died(disco.new_job("merge", results, reduce=fails_last, nr_reduces=3, **ONE_SLOT))
    done = first.jobinfo()["redi"][2]

    job = first.retry(params=1)

    assert pairs(job) == [(i, str(i)) for i in range(3)]
    assert job.jobinfo()["kept"] == done


def test_all_maps_are_kept_where_a_reduce_died(disco: Disco) -> None:
    first = died(disco.new_job("reduce", ["raw://a", "raw://b"], map=upper, reduce=fails_in_reduce))

    job = first.retry(reduce=keeps_all)

    assert pairs(job) == [("A", None), ("B", None)]
    assert job.jobinfo()["kept"] == 2
    assert job.jobinfo()["mapi"] == [0, 0, 2, 0]


class Described(Job):
    """A job as a class."""

    map = staticmethod(fails_at_bad)
    max_failures: ClassVar[int] = 2


def test_a_job_of_a_class_stays_one_of_it(disco: Disco) -> None:
    first = Described.submit(disco, ["raw://a", "raw://bad"])
    died(first)

    job = first.retry(map=nothing_fails, name="other")

    assert isinstance(job, Described)
    assert job.name.startswith("other@")
    assert pairs(job) == [("a", None), ("bad", None)]
    assert job.jobspec()["max_failures"] == 2
    assert job.jobspec()["input"] == ["raw://a", "raw://bad"]


def waits(line: str, params: Any) -> Any:
    while not Path(params.gate).exists():
        time.sleep(0.005)
    yield line, params.word


def test_a_job_without_its_functions_here_goes_on_as_it_was_packed(disco: Disco, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    first = disco.new_job("killed", ["raw://a"] * 3, map=waits, params=Params(word=3, gate=str(gate)))
    first.kill()
    gate.touch()

    job = first.retry(task_retries=2, priority=3)

    assert pairs(job) == [("a", 3)] * 3
    spec = job.jobspec()
    assert (spec["task_retries"], spec["priority"]) == (2, 3)
    assert spec["params"].startswith("Params(word=3, ")
    assert job.jobinfo()["priority"] == 3
