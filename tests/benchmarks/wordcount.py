"""Word count, 300 MB in 8 files, sum_combiner, all pairs back in the client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

from disco_rq import result_iterator
from disco_rq.func import sum_combiner, sum_reduce
from tests.benchmarks.inputs import Text
from tests.benchmarks.measure import Bench, Line


def words(line: str, params: Any) -> Iterator[tuple[str, int]]:
    for word in line.split():
        yield word, 1


def run(bench: Bench) -> list[Line]:
    text = Text(bench.size(300), 8)

    def ours() -> Callable[[], dict[str, int]]:
        job = bench.disco.new_job(
            "wordcount", list(map(str, text.paths)), map=words, combiner=sum_combiner, reduce=sum_reduce
        )
        counts = dict(result_iterator(job.wait()))

        def purged() -> dict[str, int]:
            job.purge()
            return counts

        return purged

    result = bench.compare(ours, partial(by_hand, paths=text.paths))
    assert ours()() == text.counts()
    return [result.line("wordcount", 1.25, 1.05, "yardstick: a dict a file, pickled back, added up")]


def by_hand(pool: Pool, paths: list[Path]) -> dict[str, int]:
    total: dict[str, int] = {}
    for counts in pool.imap_unordered(_count, paths):
        for word, number in counts.items():
            total[word] = total.get(word, 0) + number
    return total


def _count(path: Path) -> dict[str, int]:
    counts: dict[str, int] = {}
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            for word, number in words(line, None):
                counts[word] = counts.get(word, 0) + number
    return counts
