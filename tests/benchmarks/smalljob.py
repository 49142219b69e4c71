"""A job of 2 maps and 1 reduce over 10 lines on a warm cluster, from submit to its result in the client."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Iterator
from typing import Any

from disco_rq import result_iterator
from disco_rq.func import kvgroup
from tests.benchmarks.inputs import CACHE
from tests.benchmarks.measure import WORKERS, Bench, Line
from tests.benchmarks.wordcount import words

AT_LEAST_MS, AIM_MS = 30, 5
REST_S = 0.1
EXPECTED = {"a": 20, "small": 10, "job": 10}


def add_up(pairs: Any, params: Any) -> Iterator[tuple[str, int]]:
    for word, counts in kvgroup(pairs):
        yield word, sum(counts)


def run(bench: Bench) -> list[Line]:
    CACHE.mkdir(exist_ok=True)
    paths = [CACHE / f"small-{i}.txt" for i in range(2)]
    for path in paths:
        path.write_text("a small a job\n" * 5)
    inputs = list(map(str, paths))
    ours_ms: list[float] = []
    crowded_ms: list[float] = []
    yardstick_ms: list[float] = []
    with multiprocessing.get_context("fork").Pool(WORKERS) as pool:
        for i in range(20 * bench.rounds + 6):
            # In turn with the cluster at rest, and at once after a job that leaves processes to be replaced.
            at_rest = i % 2 == 0
            if at_rest:
                time.sleep(REST_S)
            began = time.perf_counter()
            job = bench.disco.new_job("small", inputs, map=words, reduce=add_up, sort=True, nr_reduces=1)
            answer = dict(result_iterator(job.wait()))
            ended = time.perf_counter()
            expected = pool.apply(_reduce, [pool.map(_map, inputs)])
            yardstick = time.perf_counter() - ended
            assert answer == expected == EXPECTED
            if i >= 6:  # warm
                (ours_ms if at_rest else crowded_ms).append((ended - began) * 1000)
                yardstick_ms.append(yardstick * 1000)
    median = statistics.median(ours_ms)
    return [
        Line(
            row="smalljob",
            ours=f"{median:.1f} ms",
            yardstick=f"{statistics.median(yardstick_ms):.1f} ms",
            ratio=f"{median / statistics.median(yardstick_ms):.1f}",
            at_least=f"<= {AT_LEAST_MS} ms",
            aim=f"{AIM_MS} ms",
            ok=median <= AT_LEAST_MS,
            note=f"at rest: median of {len(ours_ms)}, {min(ours_ms):.1f} to {max(ours_ms):.1f} ms; "
            f"at once after another job {statistics.median(crowded_ms):.1f} ms",
        )
    ]


def _map(path: str) -> list[tuple[str, int]]:
    with open(path) as lines:
        return [pair for line in lines for pair in words(line, None)]


def _reduce(mapped: list[list[tuple[str, int]]]) -> dict[str, int]:
    return dict(add_up(iter(sorted(pair for pairs in mapped for pair in pairs)), None))
