"""Group-by of 640 MB of text, mem_sort_limit 32 MB: every worker under 120 MB, and the right answer."""

from __future__ import annotations

import time

from disco_rq import result_iterator
from tests.benchmarks.groupby import groups
from tests.benchmarks.inputs import Text
from tests.benchmarks.measure import Bench, Line, peak_memory
from tests.benchmarks.wordcount import words

LIMIT_BYTES = 32 << 20
AT_MOST_MB = 120


def run(bench: Bench) -> list[Line]:
    text = Text(bench.size(640), 8)
    began = time.perf_counter()
    with peak_memory(bench.workers) as memory:
        job = bench.disco.new_job(
            "memory",
            list(map(str, text.paths)),
            map=words,
            reduce=groups,
            sort=True,
            nr_reduces=2,
            mem_sort_limit=LIMIT_BYTES,
        )
        results = job.wait()
    seconds = time.perf_counter() - began
    answer = dict(result_iterator(results))
    job.purge()
    assert answer == {word: (number, number) for word, number in text.counts().items()}
    largest_mb = memory.largest_bytes / 1e6
    return [
        Line(
            row="memory",
            ours=f"{largest_mb:.0f} MB",
            yardstick="-",
            ratio="-",
            at_least=f"< {AT_MOST_MB} MB",
            aim="-",
            ok=largest_mb < AT_MOST_MB,
            memory=f"{memory.total_bytes >> 20} MiB",
            note=f"the largest worker; {seconds:.1f} s, answer checked with the known counts",
        )
    ]
