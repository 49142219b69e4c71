"""Where the time of a job's tasks went, for a job that was submitted with ``profile=True``."""

from __future__ import annotations

import pstats
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import disco_rq
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
PACKAGE = Path(disco_rq.__file__).parent
DEEPEST = 20
"""Calls of calls of ours that are followed."""
_Function = tuple[str, int, str]
"""File, line and name, as pstats has it."""


def profile(sources: Sources, asked: OfProfile) -> shapes.Profile:
    if not sources.jobs.spec(asked.job).profile:
        return shapes.Profile(profiled=False, tasks=0, done=0, functions=[], own_s=0.0)
    mode = "" if asked.phase == "all" else asked.phase
    outputs = profiled_outputs(asked.job, sources.jobs.attempts(asked.job), mode)
    read: list[str] = []
    stats = merged(_profiles(sources, outputs[:MOST_TASKS], read))
    own_s = without_ours(stats) if stats is not None else 0.0
    listed = functions(stats, asked.sort, MOST_FUNCTIONS) if stats is not None else []
    shown = [shapes.ProfiledFunction(**one) for one in listed]
    return shapes.Profile(True, len(read), len(outputs), shown, own_s)


def without_ours(stats: pstats.Stats) -> float:
    """Take out the functions of disco-rq, and what only these called of Python and of libraries. Returns the
    seconds that these took.
    """
    told: dict[_Function, Any] = vars(stats)["stats"]
    ours = {one for one in told if _is_ours(one[0])}
    lent = [one for one in told if one not in ours and _is_lent(one[0])]
    for _ in range(DEEPEST):
        more = {one for one in lent if one not in ours and told[one][4] and told[one][4].keys() <= ours}
        if not more:
            break
        ours |= more
    return float(sum(told.pop(one)[2] for one in ours))


def _is_ours(file: str) -> bool:
    """Whether the file is one of the package's, wherever the node has that; its examples are a user's."""
    _, is_in, rest = file.rpartition("/disco_rq/")
    return bool(is_in) and not rest.startswith("examples/") and (PACKAGE / rest).is_file()


def _is_lent(file: str) -> bool:
    """Built in, or of Python's library, or installed."""
    return file == "~" or file.startswith("<") or "/lib/python" in file or "/site-packages/" in file


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
