"""``partition=func.total_order``: the job's ranges of keys, made before its first map gives out a pair.

Whichever map finds none makes them, of a sample that its own process knows nothing of: a child runs the map
on a few places of the job's inputs. The first ranges that reach the job's record are everybody's.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from xxhash import xxh3_128_hexdigest

from disco_rq.errors import OOBNotReadable
from disco_rq.machine.child import answer_of_child
from disco_rq.model import MapInput, TaskId
from disco_rq.runtime import RunningTask, Services, enter_task
from disco_rq.shuffle.ranges import Ranges, total_order
from disco_rq.stages import TaskWork
from disco_rq.stages.mapping import Opener
from disco_rq.stages.sampling import SAMPLE_MOST_S, Sample

__all__ = ["KeptRanges", "with_ranges"]

_GRACE_S = 5.0
"""A sample ends by itself, unless it is held up in what no signal interrupts."""


class KeptRanges(Protocol):
    """The record of a job, as far as its ranges go."""

    def ranges(self) -> bytes | None:
        """What was fixed; None: nothing yet."""

    def fix_ranges(self, packed: bytes, digest: str) -> bytes:
        """Fix these, unless some are; those that are now. ``Overtaken`` when the job is over."""

    def some_inputs(self) -> Sequence[tuple[int, MapInput]]:
        """Inputs of maps, with their indices; evenly spaced, where there are many."""


def _digest_of(packed: bytes) -> str:
    """What a commit tells of the ranges that its map has used."""
    return xxh3_128_hexdigest(packed)


def with_ranges(
    work: TaskWork, running: RunningTask, kept: KeptRanges, opener: Opener, link: Callable[[Path], None]
) -> tuple[TaskWork, str]:
    """The work of a map with the job's partition function, and the digest of its ranges; "" if it has none.

    ``link`` brings the files that the job requires into a directory.
    """
    if work.functions.partition is not total_order:
        return work, ""
    if work.spec.nr_partitions <= 1:
        return replace(work, functions=replace(work.functions, partition=None)), ""
    packed = kept.ranges()
    if packed is None:
        made = _sampled(work, running, kept.some_inputs(), opener, link)
        packed = kept.fix_ranges(made, _digest_of(made))
    ranges = Ranges.unpack(packed)
    return replace(work, functions=replace(work.functions, partition=ranges)), _digest_of(packed)


def _sampled(
    work: TaskWork,
    running: RunningTask,
    inputs: Sequence[tuple[int, MapInput]],
    opener: Opener,
    link: Callable[[Path], None],
) -> bytes:
    directory = work.scratch / ".sample"
    directory.mkdir()
    unheard = Unheard(running.services)
    master = running.master()

    def enter(index: int, task_input: MapInput) -> None:
        enter_task(
            replace(
                running,
                task=TaskId("map", index),
                inputs=task_input.first_urls,
                services=unheard,
                master=lambda: master,
                counters=type(running.counters)(),
            )
        )
        shutil.rmtree(directory / ".program", ignore_errors=True)

    def sample() -> bytes:
        os.chdir(directory)
        link(directory)
        bad = None if work.bad is None else Forgotten()
        own = replace(work, scratch=directory, status=lambda _: None, bad=bad)
        return Sample(own, opener, enter).ranges(inputs).pack()

    try:
        packed = answer_of_child(sample, SAMPLE_MOST_S + _GRACE_S)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return Ranges([]).pack() if packed is None else packed


class Unheard:
    """Services that take what is put and said, and tell nobody."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def put(self, key: str, typed_value: bytes, count: int) -> int:  # noqa: ARG002
        return 0

    def get(self, key: str, phase: str | None) -> Any:  # noqa: ARG002
        raise OOBNotReadable(f"OOB key {key!r}: a map reads none of its own job")

    def get_from(self, job: str, key: str) -> Any:
        return self._services.get_from(job, key)

    def take_back(self, keys: Sequence[str]) -> None:
        pass

    def message(self, text: str) -> int:  # noqa: ARG002
        return 1

    def bad_elsewhere(self) -> int:
        return 0


class Forgotten:
    """Bad entries that the map itself will meet, and keep."""

    def keep(self, url: str, offset: int, number: int, entry: object, error: Exception | str) -> None:
        pass

    def look(self, nr_read: int, share: float) -> None:
        pass

    def end(self, nr_read: int) -> None:
        pass
