"""What would make a job faster or smaller, as far as its pilot can see. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import median
from typing import NamedTuple

from disco_rq.model import JobSpec
from disco_rq.planning.estimate import Circumstances, Estimate, Figures
from disco_rq.planning.pilot import PilotPlan

__all__ = ["Seen", "suggestions"]

SHORT_S = 0.05
"""Maps that take no longer cost more to hand out than to run."""
A_REDUCE_BYTES = 256 << 20
"""What a reduce may well have; with less memory than that, what ``mem_sort_limit`` leaves in memory."""
REPEATS = 4.0
"""A combiner is worth its while from so many pairs for a key on."""
UNEVEN = 4.0
"""One task is too long that takes so many times its part of the slots' time."""
_MIB = 1 << 20


class Seen(NamedTuple):
    spec: JobSpec
    plan: PilotPlan
    figures: Mapping[int, Figures]
    now: Circumstances
    expected: Estimate


def suggestions(seen: Seen) -> list[str]:
    """One line each, the argument first."""
    return [*_of_reduces(seen), *_of_pieces(seen), *_of_combiner(seen)]


def _of_reduces(seen: Seen) -> Iterator[str]:
    reduces = seen.now.nr_reduces
    if not reduces:
        return
    fit = min(A_REDUCE_BYTES, seen.spec.mem_sort_limit)
    size = seen.expected.bytes.expected
    if size / reduces > 2 * fit:
        number = -(-int(size) // fit)
        yield f"nr_reduces={number}: each of {reduces} would read some {_size(size / reduces)}"
    elif reduces > seen.now.slots and size / reduces < fit / 256:
        number = max(seen.now.slots, -(-int(size) // fit))
        if number < reduces:
            yield f"nr_reduces={number}: each of {reduces} would read less than {_size(fit / 256)}"
    if seen.expected.skew is not None and seen.expected.skew > UNEVEN:
        yield (
            f"partition: the largest has {seen.expected.skew:.1f} times as much as the mean one; "
            "few keys have most of the pairs"
        )


def _of_pieces(seen: Seen) -> Iterator[str]:
    seconds = sorted(it.seconds for it in seen.figures.values())
    mean_s = sum(seconds) / len(seconds)
    nr_maps = len(seen.plan.maps) + sum(rest.maps for rest in seen.plan.rests)
    largest = max((rest.largest for rest in seen.plan.rests), default=0)
    size = sum(rest.size for rest in seen.plan.rests)
    if nr_maps > 20 * seen.now.slots and mean_s < SHORT_S:
        yield f"files_per_task, or a larger split_size: a map takes {1000 * mean_s:.0f} ms only"
    elif size and largest > UNEVEN * size / seen.now.slots and len(seen.plan.rests) > 0:
        piece = max(size // (4 * seen.now.slots), _MIB)
        yield f"split_size={piece}: the largest map reads {_size(largest)}, most of what is left"


def _of_combiner(seen: Seen) -> Iterator[str]:
    known = [it.repeats for it in seen.figures.values() if it.repeats]
    repeats = median(known) if known else 0.0
    if repeats >= REPEATS:
        yield f"combiner: a map gives some {repeats:,.0f} pairs for a key; func.sum_combiner adds them up"


def _size(size_bytes: float) -> str:
    """As people write it."""
    mib = size_bytes / _MIB
    return f"{mib / 1024:,.1f} GiB" if mib >= 1000 else f"{mib:,.1f} MiB"
