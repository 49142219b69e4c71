"""How fast the phases of a job go, over its time: tasks that are done, and slots at work."""

from __future__ import annotations

from itertools import accumulate

from disco_rq.model import PHASES
from disco_rq.views import shapes
from disco_rq.views.asked import OfJob
from disco_rq.views.sources import Sources
from disco_rq.views.timeline import bars_now

__all__ = ["pace"]

MOST_STEPS = 120
LEAST_STEP_MS = 10
"""In less a single task would count as thousands a second."""


def pace(sources: Sources, asked: OfJob) -> shapes.Pace:
    view = sources.view.job(asked.job)
    bars = [bar for _, _, bar in bars_now(sources, view)]
    if not bars:
        return shapes.Pace(None, 1, [])
    start, end = min(bar.start for bar in bars), max(bar.end for bar in bars)
    step = max((end - start) // MOST_STEPS + 1, LEAST_STEP_MS)
    count = (end - start) // step + 1
    told = []
    for phase in PHASES:
        mine = [bar for bar in bars if bar.phase == phase]
        if mine:
            rows = (_done(mine, start, step, count), _busy(mine, start, step, count))
            told.append(shapes.PhasePace(phase, *rows))
    return shapes.Pace(start, step, told)


def _done(bars: list[shapes.Bar], start: int, step: int, count: int) -> list[float]:
    """Tasks a second that ended well in each step."""
    ended = [0] * count
    for bar in bars:
        if not (bar.failed or bar.running or bar.lost):
            ended[(bar.end - start) // step] += 1
    return [round(number * 1000 / step, 3) for number in ended]


def _busy(bars: list[shapes.Bar], start: int, step: int, count: int) -> list[float]:
    """Slots at work in each step, on average."""
    whole = [0] * (count + 1)  # how many more bars cover a step, all of it, than the one before
    part = [0] * count  # milliseconds in steps that bars cover in part
    for bar in bars:
        first, last = (bar.start - start) // step, (bar.end - start) // step
        if first == last:
            part[first] += bar.end - bar.start
            continue
        part[first] += start + (first + 1) * step - bar.start
        part[last] += bar.end - (start + last * step)
        whole[first + 1] += 1
        whole[last] -= 1
    return [round(all_of + some / step, 3) for all_of, some in zip(accumulate(whole), part, strict=False)]
