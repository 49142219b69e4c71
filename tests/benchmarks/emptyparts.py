"""Reduces that have nothing to read: 2,000 maps x 100 reduces, with all records in one partition."""

from __future__ import annotations

import statistics
from typing import Any

from disco_rq import func, result_iterator
from disco_rq.store.connection import Connection
from disco_rq.store.jobs import JobStore
from tests.benchmarks.measure import Bench, Line

AT_LEAST_S, AIM_S = 1.0, 0.3


def one(entry: str, params: Any) -> list[tuple[str, int]]:
    return [("key", 1)]


def run(bench: Bench) -> list[Line]:
    nr_maps, nr_reduces = max(20, int(2_000 * bench.scale)), 100
    inputs = [f"raw://{i}" for i in range(nr_maps)]
    taken_s, walls_s = [], []
    for _ in range(bench.rounds):
        job = bench.disco.new_job(
            "emptyparts", inputs, map=one, reduce=func.sum_reduce, nr_reduces=nr_reduces
        )
        pairs = list(result_iterator(job.wait()))
        assert pairs == [("key", nr_maps)], pairs
        record = JobStore(Connection(bench.disco.url)).record(job.name)
        taken_s.append(record.count("reduce:ms") / 1000)
        walls_s.append((record.count("ended") - record.count("submitted")) / 1000)
        job.purge()
    reduces_s = statistics.median(taken_s)
    return [
        Line(
            row="emptyparts",
            ours=f"{reduces_s:.2f} s",
            yardstick="",
            ratio="",
            at_least=f"<= {AT_LEAST_S} s",
            aim=f"{AIM_S} s",
            ok=reduces_s <= AT_LEAST_S,
            memory="",
            note=f"worker time of {nr_reduces} reduces, one of which has records of {nr_maps} maps; "
            f"the job {statistics.median(walls_s):.1f} s",
        )
    ]
