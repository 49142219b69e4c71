"""Jobs of 2 maps and 1 reduce over 10 lines, one after the other."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any

from tests.benchmarks.measured import Measured
from tests.benchmarks.runners import Runner
from tests.benchmarks.works.wordcount import words


def add_up(groups: Iterable[tuple[str, Iterable[int]]]) -> Iterator[tuple[str, int]]:
    """A reduce of groups."""
    for word, counts in groups:
        yield word, sum(counts)


def run(runner: Runner, given: dict[str, Any]) -> Measured:
    """The median of some."""
    return median(lambda: runner.funnel(_map, given["paths"], _reduce), given)


def median(job: Callable[[], dict[str, int]], given: dict[str, Any]) -> Measured:
    """What a job takes, each after ``rest_s`` of rest. All have the same answer."""
    taken: list[float] = []
    answers: list[dict[str, int]] = []
    for _ in range(given["jobs"]):
        if given["rest_s"]:
            time.sleep(given["rest_s"])
        began = time.perf_counter()
        answers.append(job())
        taken.append(time.perf_counter() - began)
    assert all(answer == answers[0] for answer in answers)
    note = f"{min(taken) * 1000:.1f} to {max(taken) * 1000:.1f} ms"
    return Measured(answers[0], statistics.median(taken), note)


def _map(path: str) -> list[tuple[str, int]]:
    with open(path) as lines:
        return [pair for line in lines for pair in words(line)]


def _reduce(mapped: list[list[tuple[str, int]]]) -> dict[str, int]:
    pairs = sorted(pair for some in mapped for pair in some)
    return dict(
        add_up((word, (count for _, count in group)) for word, group in groupby(pairs, itemgetter(0)))
    )
