"""A job whose maps an earlier one has done, with ``reuse``; beside it the same job, all of it run again."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from disco_rq import Disco, Job, func, result_iterator
from tests.benchmarks.costs import cpu_s
from tests.benchmarks.measured import Measured


def known(disco: Disco, given: dict[str, Any]) -> Measured:
    """Every map is adopted."""
    return _again(disco, given, reuse=True)


def afresh(disco: Disco, given: dict[str, Any]) -> Measured:
    """Every map is run."""
    return _again(disco, given, reuse=False)


def _again(disco: Disco, given: dict[str, Any], *, reuse: bool) -> Measured:
    """From submit to the pairs in the client, for a thousand maps; the earlier job is no part of it."""
    paths = _files(Path(given["directory"]), given["maps"])
    earlier, _ = _run(disco, given, paths, reuse=reuse)
    before, began = cpu_s(os.getpid()), time.perf_counter()
    job, answer = _run(disco, given, paths, reuse=reuse)
    took_s, cpu = time.perf_counter() - began, cpu_s(os.getpid()) - before
    reused = job.jobinfo()["reused"]
    assert reused == (len(paths) if reuse else 0), f"{reused} of {len(paths)} maps were adopted"
    for one in (job, earlier):
        one.purge()
    thousands = len(paths) / 1000
    return Measured(answer, took_s / thousands, cpu_s=cpu / thousands)


def _run(disco: Disco, given: dict[str, Any], paths: list[str], *, reuse: bool) -> tuple[Job, dict[str, int]]:
    phase: dict[str, Any] = {"nr_reduces": 0}
    if given["reduce"]:
        phase = {"combiner": func.sum_combiner, "reduce": func.sum_reduce, "nr_reduces": 1}
    job = disco.new_job("daily", paths, map=_count, reuse=reuse, **phase)
    answer: dict[str, int] = {}
    for key, value in result_iterator(job.wait()):
        answer[key] = answer.get(key, 0) + value
    return job, answer


def _files(directory: Path, number: int) -> list[str]:
    """So many small files; made once."""
    directory.mkdir(exist_ok=True)
    paths = [directory / f"{i:05}.txt" for i in range(number)]
    for path in paths:
        if not path.exists():
            path.write_text("a visit a day\n" * 20)
    return list(map(str, paths))


def _count(line: str, params: Any) -> Iterator[tuple[str, int]]:
    for word in line.split():
        yield word, 1
