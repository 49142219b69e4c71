"""A sample of a map's keys: of a few places of the inputs, and of a second or so."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from types import FrameType
from typing import Any, NamedTuple, NoReturn

from disco_rq.external import ExternalProgram
from disco_rq.func import map_line_reader, sum_combiner
from disco_rq.inputs.probing import Probe, probes
from disco_rq.model import MapInput
from disco_rq.records.taken import taken
from disco_rq.shuffle import combined, folded, summed
from disco_rq.shuffle.folding import FoldCombiner
from disco_rq.shuffle.memory import average_bytes
from disco_rq.shuffle.partition import Partitioner
from disco_rq.shuffle.ranges import Ranges, ranges_of
from disco_rq.stages.external import running_program
from disco_rq.stages.mapping import MappedPairs, Opener
from disco_rq.stages.taskwork import TaskWork
from disco_rq.stages.work import answer

__all__ = ["SAMPLE_MOST_S", "Sample", "Seen", "weighed"]

SAMPLE_S, SAMPLE_MOST_S = 1.0, 10.0
"""So long keys are looked at; and while there are very few, or of very few places, so long."""
_MOST_KEYS = 20_000
_MOST_BYTES = 16 << 20
_KEYS_A_RANGE = 20
"""Fewer are very few."""
_PLACES, _PLACES_A_RANGE, _MOST_PLACES = 64, 4, 1024
_PLACE_BYTES = (16 << 10, 256 << 10, 4 << 20)
"""Of a place. Where these have given very few keys, more is read."""


class Seen(NamedTuple):
    """What one place gave."""

    probe: Probe
    some: list[Any]  # of its keys, chosen at random
    number: int  # of all that there were
    is_whole: bool  # else its time was up before its end


class Sample:
    """Runs the map, and the combiner, on a few places. What they raise is for the map itself to tell.

    For the main thread of a process of its own: a clock interrupts it.
    """

    def __init__(self, work: TaskWork, opener: Opener, enter: Callable[[int, MapInput], None]) -> None:
        """``enter`` is told of which map the next place is."""
        self._work = work
        self._opener = opener
        self._enter = enter
        self._seen: list[Seen] = []
        self._bytes = 0.0
        self._nr_enough = min(_PLACES_A_RANGE * work.spec.nr_partitions, _MOST_PLACES)
        self._nr_places = max(_PLACES, self._nr_enough)

    def ranges(self, inputs: Sequence[tuple[int, MapInput]]) -> Ranges:
        """Ranges of about equal weight. ``inputs``: those of the maps with these indices."""
        limit_s = self._work.spec.task_timeout
        most_s = SAMPLE_MOST_S if limit_s is None else min(SAMPLE_MOST_S, limit_s / 4)
        signal.signal(signal.SIGALRM, _interrupt)
        signal.setitimer(signal.ITIMER_REAL, most_s)
        with suppress(_TimeIsUp):
            self._look(inputs, time.monotonic())
        signal.setitimer(signal.ITIMER_REAL, 0)
        return ranges_of(weighed(self._seen), self._work.spec.nr_partitions)

    def _look(self, inputs: Sequence[tuple[int, MapInput]], start: float) -> None:
        for size_bytes in _PLACE_BYTES:
            self._seen, self._bytes = [], 0.0
            found = probes(
                inputs, line_based=self._is_line_based, number=self._nr_places, size_bytes=size_bytes
            )
            all_shares = shares = sum(probe.share for probe in found)
            for probe in found:
                left_s = max(start + SAMPLE_S - time.monotonic(), 0.0)
                enough = self._has_enough() and len(self._seen) >= self._nr_enough
                if (not left_s and enough) or self._bytes > _MOST_BYTES:
                    return
                limit_s = max(left_s, SAMPLE_S) * probe.share / shares
                self._look_at(probe, limit_s, max(_MOST_KEYS * probe.share // all_shares, 1))
                shares -= probe.share
            if self._has_enough():
                return

    def _is_line_based(self, side: int | None) -> bool:
        reader = self._work.functions.of_side(side).map_reader or map_line_reader
        return bool(getattr(reader, "line_based", False))

    def _has_enough(self) -> bool:
        return sum(len(seen.some) for seen in self._seen) >= _KEYS_A_RANGE * self._work.spec.nr_partitions

    def _look_at(self, probe: Probe, limit_s: float, most: int) -> None:
        """``most`` keys of one place, chosen at random among all that there are in its time."""
        rnd = random.Random(probe.index)
        some: list[Any] = []
        count = 0
        clock = _Clock(time.monotonic() + limit_s)
        self._enter(probe.index, probe.input)
        try:
            with suppress(Exception):
                for key, _ in self._pairs(probe, clock):
                    count += 1
                    if len(some) < most:
                        some.append(taken(key))
                    elif (at := rnd.randrange(count)) < most:
                        some[at] = taken(key)
        except _TimeIsUp:
            clock.is_up = True
            raise
        finally:
            self._seen.append(Seen(probe, some, count, not clock.is_up))
            self._bytes += average_bytes(some) * len(some)

    def _pairs(self, probe: Probe, clock: _Clock) -> Iterator[tuple[Any, Any]]:
        functions = self._work.functions.of_side(probe.side)
        work = replace(self._work, functions=functions)
        if isinstance(functions.map, ExternalProgram):
            own = replace(work, functions=replace(functions, map=answer))
            with running_program(functions.map, work.scratch) as program:
                yield from self._combined(
                    MappedPairs(own, (probe.part,), self._opener, program.answers), clock
                )
            return
        yield from self._combined(MappedPairs(work, (probe.part,), self._opener), clock)

    def _combined(self, mapped: MappedPairs, clock: _Clock) -> Iterator[tuple[Any, Any]]:
        pairs, combiner = clock.in_time(iter(mapped)), self._work.functions.combiner
        if combiner is sum_combiner:
            return summed(pairs, _MOST_BYTES)
        if isinstance(combiner, FoldCombiner):
            return folded(pairs, combiner, _MOST_BYTES)
        if combiner is None:
            return pairs
        return combined(pairs, combiner, Partitioner(None, 1, None), self._work.params)


class _Clock:
    """The time of one place."""

    def __init__(self, until: float) -> None:
        self._until = until
        self.is_up = False

    def in_time(self, pairs: Iterator[Any]) -> Iterator[Any]:
        for pair in pairs:
            yield pair
            if time.monotonic() > self._until:
                self.is_up = True
                return


def weighed(seen: Sequence[Seen]) -> Iterator[tuple[Any, float]]:
    """The keys of all places, and for how many each of them stands.

    Where the time was up before the end, as it is where the map is slow, the place has as many keys for its
    bytes as the others.
    """
    whole = [one for one in seen if one.is_whole and one.probe.size]
    part = [one for one in seen if not one.is_whole and one.probe.size]
    if whole:
        density = sum(one.number for one in whole) / sum(one.probe.size or 0 for one in whole)
    else:
        density = max((one.number / (one.probe.size or 1) for one in part), default=0.0)
    for one in seen:
        count = one.number if one.is_whole else max(one.number, density * (one.probe.size or 0))
        for key in one.some:
            yield key, one.probe.weight * count / len(one.some)


class _TimeIsUp(BaseException):
    """Not for the job's functions to catch."""


def _interrupt(_signum: int, _frame: FrameType | None) -> NoReturn:
    raise _TimeIsUp
