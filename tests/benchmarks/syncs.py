"""Jobs whose results are on the disk before they count; a cluster without that runs the same."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from disco_rq import Disco
from tests.benchmarks.measured import Measured
from tests.benchmarks.works.noop import nothing

RECORD = 1000
SETTLE_S = 0.1


def run(disco: Disco, given: dict[str, Any]) -> Measured:
    """The median from submit to the end; what one has left to be written is not the next one's."""
    arguments = {"params": given["bytes"], "map": _bulk} if given["bytes"] else {"map": nothing}
    took_s = []
    for _ in range(given["jobs"]):
        os.sync()
        time.sleep(SETTLE_S)
        began = time.perf_counter()
        job = disco.new_job("sync", [f"raw://{i}" for i in range(given["maps"])], nr_reduces=0, **arguments)
        job.wait()
        took_s.append(time.perf_counter() - began)
        job.purge()
    return Measured("", statistics.median(took_s), f"one fsync of this disk {_flush_ms():.1f} ms")


def _bulk(entry: str, params: int) -> Iterator[tuple[int, bytes]]:
    """So many bytes of result, which nothing makes smaller."""
    for i in range(params // RECORD):
        yield i, os.urandom(RECORD)


def _flush_ms() -> float:
    """Of a small file that was written just now: the median of some."""
    took_s = []
    with tempfile.TemporaryFile() as file:
        for i in range(20):
            file.write(bytes([i]) * 4096)
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            took_s.append(time.perf_counter() - began)
    return statistics.median(took_s) * 1000
