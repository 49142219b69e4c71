"""2,000 tasks that do nothing, each a task of its own, results in the client."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from multiprocessing.pool import Pool
from typing import Any

from disco_rq import result_iterator
from tests.benchmarks.measure import Bench, Line

AT_LEAST, AIM = 2_000, 10_000


def nothing(entry: str, params: Any) -> list[tuple[str, int]]:
    return [(entry, 1)]


def run(bench: Bench) -> list[Line]:
    number = max(10, int(2_000 * bench.scale))
    entries = [str(i) for i in range(number)]

    def ours() -> Callable[[], dict[str, int]]:
        job = bench.disco.new_job("noop", [f"raw://{entry}" for entry in entries], map=nothing)
        answer = dict(result_iterator(job.wait()))

        def purged() -> dict[str, int]:
            job.purge()
            return answer

        return purged

    def by_hand(pool: Pool) -> dict[str, int]:
        return dict(pair for pairs in pool.imap(_nothing, entries) for pair in pairs)

    result = bench.compare(ours, by_hand)
    rate = number / statistics.median(result.ours_s)
    return [
        Line(
            row="noop",
            ours=f"{rate:,.0f} tasks/s",
            yardstick=f"{number / statistics.median(result.yardstick_s):,.0f} tasks/s",
            ratio=f"{result.ratio:.2f}",
            at_least=f">= {AT_LEAST:,}",
            aim=f"{AIM:,}",
            ok=rate >= AT_LEAST,
            memory=f"{result.ours_bytes >> 20} / {result.yardstick_bytes >> 20} MiB",
            note="yardstick: imap, one task at a time",
        )
    ]


def _nothing(entry: str) -> list[tuple[str, int]]:
    return nothing(entry, None)
