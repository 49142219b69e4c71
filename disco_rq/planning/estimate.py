"""What a pilot's maps tell of the whole job: time, size and memory to expect, with a range. Pure.

A map is taken to cost something of its own, and something for each byte that it reads: the first the same for
all, the second by type of file. How far that may be wrong is found by leaving out each map of the sample in
turn (the jackknife), and by how much single maps differ from it; the range is that of Student's t.
Nobody knows what a reduce costs before it runs. It spends on a record some microseconds, which is what plain
Python takes, or as much as a map does on one: it is taken to lie in the middle, and the range has both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from disco_rq.planning.pilot import PilotPlan, Rest

__all__ = ["Circumstances", "Estimate", "Figures", "Range", "estimate"]

WIDEST = 10.0
"""No range is wider than from a tenth to ten times what is expected."""
A_RECORD_S = 5e-6
"""What a plain reduce takes for a record, and its share of reading and merging."""
A_REDUCE_S = 0.02
"""... and for itself."""
REDUCE_LEEWAY = 3.0
"""It may be so many times as much, or as little, at least."""
MOST_LEFT_OUT = 50
"""Of a large sample groups are left out, not single maps: so many of them."""
_ONLY_ONE = 4.0
"""What a sample of one map may be wrong by."""
_T = (31.82, 6.96, 4.54, 3.75, 3.36, 3.14, 3.00, 2.90, 2.82, 2.76, 2.72, 2.68, 2.65, 2.62, 2.60)
"""Student's t: 98 % lie within, by degrees of freedom from 1 on. Few maps of great weight need the margin."""
LEAST_OFF = 0.05
"""No machine takes the same time twice: so much is always added."""


class Range(NamedTuple):
    """What is expected, and between what it lies in some nine of ten cases at least."""

    expected: float
    low: float
    high: float

    def __add__(self, other: tuple[float, ...]) -> Range:  # type: ignore[override]
        return Range(*(mine + its for mine, its in zip(self, other, strict=True)))

    def times(self, factor: float) -> Range:
        return Range(self.expected * factor, self.low * factor, self.high * factor)


_NOTHING = Range(0.0, 0.0, 0.0)


class Figures(NamedTuple):
    """What one map of the sample took and gave."""

    seconds: float
    entries: int
    records: int
    bytes: int
    memory: int = 0  # bytes, at its peak
    repeats: float = 0.0  # pairs for a key; 0: nobody knows


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What else there was to see when the sample was through."""

    slots: int  # that the job may have
    nr_reduces: int  # tasks
    check: float = 0.0  # a part of the maps that runs twice
    left: float = 1.0  # a part of the maps that are not in the sample: the others were done before
    bytes: int = 0  # that the sample's maps wrote for partitions
    largest_bytes: int = 0  # of these, for one


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds are those from the end of the pilot on; bytes are those that all maps will have written."""

    seconds: Range
    map_seconds: Range
    reduce_seconds: Range
    check_seconds: Range  # of map_seconds: what checks add
    check_slot_seconds: Range  # of all slots together
    bytes: Range
    records: Range
    skew: float | None  # the largest partition, in times of the mean one; None: there are no such
    largest_reduce_bytes: float


def estimate(plan: PilotPlan, figures: Mapping[int, Figures], now: Circumstances) -> Estimate:
    """``figures``: of the maps of the sample that are done; at least one."""
    work = _total(plan, figures, lambda it: it.seconds).times(now.left)
    sample_s = sum(it.seconds for it in figures.values())
    bytes_ = _total(plan, figures, lambda it: it.bytes) + (sum(it.bytes for it in figures.values()),) * 3
    records = _total(plan, figures, lambda it: it.records) + (sum(it.records for it in figures.values()),) * 3
    largest_s = _largest(plan, figures)
    checked = work.times(now.check) + (now.check * sample_s,) * 3
    map_seconds = _spread(work + checked, largest_s, now.slots) if plan.rests else _NOTHING
    without = _spread(work, largest_s, now.slots) if plan.rests else _NOTHING
    largest_share = now.largest_bytes / now.bytes if now.bytes else 1 / max(now.nr_reduces, 1)
    reduce_seconds = _reduces(figures, records, now, largest_share) if now.nr_reduces else _NOTHING
    return Estimate(
        seconds=map_seconds + reduce_seconds,
        map_seconds=map_seconds,
        reduce_seconds=reduce_seconds,
        check_seconds=Range(*(max(all_ - own, 0.0) for all_, own in zip(map_seconds, without, strict=True))),
        check_slot_seconds=checked,
        bytes=bytes_,
        records=records,
        skew=largest_share * now.nr_reduces if now.nr_reduces and now.bytes else None,
        largest_reduce_bytes=largest_share * bytes_.expected if now.nr_reduces else 0.0,
    )


def _spread(work: Range, largest_s: float, slots: int) -> Range:
    """Work on so many slots, each of which takes the next task when it is free; one may begin last."""
    alone = 1 - 1 / slots
    mean = work.expected / slots
    return Range(
        max(mean + alone * largest_s / 2, largest_s),
        max(work.low / slots, largest_s * work.low / work.expected if work.expected else 0.0),
        work.high / slots + alone * largest_s * (work.high / work.expected if work.expected else 1.0),
    )


def _reduces(
    figures: Mapping[int, Figures], records: Range, now: Circumstances, largest_share: float
) -> Range:
    handled = sum(it.entries + it.records for it in figures.values())
    of_map = sum(it.seconds for it in figures.values()) / handled if handled else A_RECORD_S
    a_record = math.sqrt(A_RECORD_S * of_map)
    leeway = max(REDUCE_LEEWAY, a_record / A_RECORD_S, A_RECORD_S / a_record)
    share = max(largest_share, 1 / min(now.slots, now.nr_reduces))
    time = records.times(a_record * share)
    own = A_REDUCE_S * math.ceil(now.nr_reduces / now.slots)
    return Range(time.expected + own, time.low / leeway, time.high * leeway + own * REDUCE_LEEWAY)


# -- the maps


class _Point(NamedTuple):
    kind: str
    x: float  # bytes read
    y: float


@dataclass(frozen=True, slots=True)
class _Line:
    """y = base + slope * x, the slope by kind."""

    base: float
    slope: float
    slopes: Mapping[str, float]

    def at(self, kind: str, x: float) -> float:
        return self.base + self.slopes.get(kind, self.slope) * x

    def of_all(self, rests: Sequence[Rest]) -> float:
        return sum(
            rest.maps * self.base + self.slopes.get(rest.kind, self.slope) * rest.size for rest in rests
        )


def _points(plan: PilotPlan, figures: Mapping[int, Figures], of: Callable[[Figures], float]) -> list[_Point]:
    return [
        _Point(plan.maps[index].kind, float(plan.maps[index].size or 0), of(it))
        for index, it in figures.items()
    ]


def _total(plan: PilotPlan, figures: Mapping[int, Figures], of: Callable[[Figures], float]) -> Range:
    """Of the maps that are not in the sample."""
    points = _points(plan, figures, of)
    line = _fitted(points)
    expected = line.of_all(plan.rests)
    if expected <= 0:
        return _NOTHING
    factor = _factor(points, line, plan.rests, expected)
    return Range(expected, expected / factor, expected * factor)


def _largest(plan: PilotPlan, figures: Mapping[int, Figures]) -> float:
    """What the largest map that is not in the sample may take."""
    line = _fitted(_points(plan, figures, lambda it: it.seconds))
    return max((line.at(rest.kind, rest.largest) for rest in plan.rests), default=0.0)


def _fitted(points: Sequence[_Point]) -> _Line:
    """By weighted least squares, where what is larger may be off by more. Neither part is below 0."""
    all_x, all_y = sum(p.x for p in points), sum(p.y for p in points)
    if not all_x:
        return _Line(all_y / len(points), 0.0, {})
    least = all_x / len(points) / 100
    weights = [1 / max(p.x, least) for p in points]
    weight = sum(weights)
    mean_x = sum(w * p.x for w, p in zip(weights, points, strict=True)) / weight
    mean_y = sum(w * p.y for w, p in zip(weights, points, strict=True)) / weight
    spread = sum(w * (p.x - mean_x) ** 2 for w, p in zip(weights, points, strict=True))
    together = sum(w * (p.x - mean_x) * (p.y - mean_y) for w, p in zip(weights, points, strict=True))
    # Without a spread nothing tells the two parts apart: it is the bytes then.
    slope = together / spread if spread > 1e-6 * weight * mean_x**2 else all_y / all_x
    slope = min(max(slope, 0.0), all_y / all_x)
    base = (all_y - slope * all_x) / len(points)
    slopes = {}
    for kind in {p.kind for p in points}:
        x = sum(p.x for p in points if p.kind == kind)
        y = sum(p.y - base for p in points if p.kind == kind)
        if x:
            slopes[kind] = max(y / x, 0.0)
    return _Line(base, slope, slopes)


def _factor(points: Sequence[_Point], line: _Line, rests: Sequence[Rest], expected: float) -> float:
    """By what the total may be wrong, either way."""
    n = len(points)
    if n < 2:
        return _ONLY_ONE
    groups = min(n, MOST_LEFT_OUT)
    without = [
        _fitted([p for i, p in enumerate(points) if i % groups != group]).of_all(rests)
        for group in range(groups)
    ]
    middle = sum(without) / groups
    of_line = (groups - 1) / groups * sum((one - middle) ** 2 for one in without)
    freedom = max(n - 2, 1)
    mean_x = max(sum(p.x for p in points) / n, 1.0)
    noise = sum((p.y - line.at(p.kind, p.x)) ** 2 * mean_x / max(p.x, mean_x / 100) for p in points) / freedom
    of_maps = noise * sum(rest.size for rest in rests) / mean_x
    off = math.sqrt(of_line + of_maps) / expected
    t = _T[freedom - 1] if freedom <= len(_T) else 2.33 + 4.0 / freedom
    return math.exp(min(t * off + LEAST_OFF, math.log(WIDEST)))
