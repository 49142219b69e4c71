"""``put`` from a task against a bare redis-py HSET loop, in the same task, over a connection of its kind."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from typing import Any

from redis import Redis

from disco_rq import Params, result_iterator
from disco_rq.runtime import put
from tests.benchmarks.measure import Bench, Line

AT_LEAST, AIM = 0.6, 0.9
ROUND = 150
"""A task may put 1,000."""
ROUNDS = 6


def both(entry: str, params: Any) -> Iterator[tuple[str, list[float]]]:
    redis = Redis.from_url(params.url)
    redis.ping()
    puts, sets = [], []
    for round in range(ROUNDS):
        began = time.perf_counter()
        for i in range(ROUND):
            put(f"{entry}:{round}:{i}", "value")
        between = time.perf_counter()
        for i in range(ROUND):
            redis.hset("bench:hash", f"{entry}:{round}:{i}", "value")
        puts.append(ROUND / (between - began))
        sets.append(ROUND / (time.perf_counter() - between))
    redis.close()
    yield "put", puts[1:]
    yield "hset", sets[1:]


def run(bench: Bench) -> list[Line]:
    puts, sets = [], []
    for number in range(bench.rounds):
        job = bench.disco.new_job(
            "oob", [f"raw://entry{number}"], map=both, params=Params(url=bench.disco.url)
        )
        rates = dict(result_iterator(job.wait()))
        assert len(job.oob_list()) == ROUND * ROUNDS
        puts += rates["put"]
        sets += rates["hset"]
        job.purge()
    Redis.from_url(bench.disco.url).delete("bench:hash")
    rate, bare = statistics.median(puts), statistics.median(sets)
    return [
        Line(
            row="put",
            ours=f"{rate:,.0f}/s",
            yardstick=f"{bare:,.0f}/s",
            ratio=f"{rate / bare:.0%}",
            at_least=f">= {AT_LEAST:.0%}",
            aim=f"{AIM:.0%}",
            ok=rate / bare >= AT_LEAST,
            note="yardstick: HSET, one at a time",
        )
    ]
