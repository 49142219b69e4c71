"""disco-rq: an embedded cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from disco_rq import Disco
from tests.benchmarks.runners import WORKERS
from tests.benchmarks.works.noop import nothing


@contextmanager
def started() -> Iterator[Disco]:
    """That has run something."""
    with Disco(workers=WORKERS) as disco:
        warm = disco.new_job("warm", ["raw://up"], map=nothing)
        warm.wait()
        warm.purge()
        yield disco
