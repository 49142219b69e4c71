"""Where the time of a job's tasks went, for a job that was submitted with ``profile=True``."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from disco_rq.client.results import read_beside
from disco_rq.outputs.profiles import SUFFIX, functions, merged, profiled_outputs
from disco_rq.views import shapes
from disco_rq.views.asked import OfProfile
from disco_rq.views.sources import Sources

__all__ = ["profile"]

MOST_TASKS = 200
"""Profiles that are read for one answer, each a file of a node: they tell enough of the others."""
MOST_FUNCTIONS = 100
MOST_BYTES = 16 << 20
PROFILES_MAX_S = 8.0
"""So many bytes of them, and for so long."""


def profile(sources: Sources, asked: OfProfile) -> shapes.Profile:
    if not sources.jobs.spec(asked.job).profile:
        return shapes.Profile(profiled=False, tasks=0, done=0, functions=[])
    mode = "" if asked.phase == "all" else asked.phase
    outputs = profiled_outputs(asked.job, sources.jobs.attempts(asked.job), mode)
    read: list[str] = []
    stats = merged(_profiles(sources, outputs[:MOST_TASKS], read))
    listed = functions(stats, asked.sort, MOST_FUNCTIONS) if stats is not None else []
    return shapes.Profile(True, len(read), len(outputs), [shapes.ProfiledFunction(**one) for one in listed])


def _profiles(sources: Sources, outputs: Sequence[str], read: list[str]) -> Iterator[tuple[str, bytes]]:
    """The profiles beside these outputs, as many as may be read; ``read`` gets their addresses."""
    left, deadline = MOST_BYTES, time.monotonic() + PROFILES_MAX_S
    for address in outputs:
        data = read_beside(sources.locator, address, SUFFIX)
        if data is not None:
            left -= len(data)
            read.append(address)
            yield address, data
        if left <= 0 or time.monotonic() > deadline:
            return
