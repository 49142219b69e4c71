"""Visits by page, for a schedule: ``submit`` is what RQ's cron calls, see the README.

``unique``: where the job of last night still runs, it is that one, and no second. ``reuse``: files that an
earlier job has read are not read again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from disco_rq import Disco
from disco_rq.func import sum_combiner, sum_reduce

sort = True
combiner, reduce = sum_combiner, sum_reduce


def map(line: str, params: Any) -> Iterator[tuple[str, int]]:
    """A line is ``TIME PAGE …``."""
    fields = line.split()
    if len(fields) > 1:
        yield fields[1], 1


def submit(directory: str) -> str:
    """Submit the job over a directory to the cluster that DISCO_RQ_REDIS names; its name."""
    with Disco() as disco:
        job = disco.new_job(
            "visits",
            [directory],
            map=map,
            combiner=combiner,
            reduce=reduce,
            sort=sort,
            unique=True,
            reuse=True,
        )
    return job.name
