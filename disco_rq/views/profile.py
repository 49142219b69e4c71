"""Where the time of a job's tasks went, for a job that was submitted with ``profile=True``."""

from __future__ import annotations

from disco_rq.client.results import read_beside
from disco_rq.outputs.profiles import SUFFIX, functions, merged, profiled_outputs
from disco_rq.views import shapes
from disco_rq.views.asked import OfProfile
from disco_rq.views.sources import Sources

__all__ = ["profile"]

MOST_TASKS = 200
"""Profiles that are read for one answer, each a file of a node: they tell enough of the others."""
MOST_FUNCTIONS = 100


def profile(sources: Sources, asked: OfProfile) -> shapes.Profile:
    if not sources.jobs.spec(asked.job).profile:
        return shapes.Profile(profiled=False, tasks=0, done=0, functions=[])
    mode = "" if asked.phase == "all" else asked.phase
    outputs = profiled_outputs(asked.job, sources.jobs.attempts(asked.job), mode)
    found = {address: read_beside(sources.locator, address, SUFFIX) for address in outputs[:MOST_TASKS]}
    read = {address: data for address, data in found.items() if data is not None}
    stats = merged(read.items())
    listed = functions(stats, asked.sort, MOST_FUNCTIONS) if stats is not None else []
    return shapes.Profile(True, len(read), len(outputs), [shapes.ProfiledFunction(**one) for one in listed])
