"""A sorted job gives each reduce its equal keys together, in order, whether memory holds them or not."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from disco_rq import Disco, Params
from disco_rq.runtime import counter
from tests.cluster.small_jobs import pairs, run

KEYS = [*"abcdefghijklmnopqrstuvwxyz", *map(str, range(10)), "two words", "nul\0nul", "line\nline", " ", ""]
MAPS = 4
COPIES = 10
PLENTY = 1 << 30
LITTLE = 1 << 20


def shuffled(entry: str, params: Any) -> Iterator[tuple[str, str]]:
    """Each key ``COPIES`` times, in an order of this task's own."""
    keys = KEYS * COPIES
    random.Random(entry).shuffle(keys)
    for n, key in enumerate(keys):
        # no two values are one object, so that each of them weighs in memory
        yield key, f"{n:04}".ljust(params.value_chars, "·")


def runs(pairs: Any, params: Any) -> Iterator[tuple[str, int]]:
    """The length of each run of one key."""
    for key, together in groupby(pairs, key=lambda pair: pair[0]):
        yield key, sum(1 for _ in together)
    counter("runs on disk", len(list(Path.cwd().parent.rglob("run-*"))))


@pytest.mark.parametrize(
    ("limit", "value_chars", "on_disk"),
    [(PLENTY, 4, False), (LITTLE, 8000, True)],
    ids=["memory", "external"],
)
def test_each_key_comes_in_one_run(disco: Disco, limit: int, value_chars: int, on_disk: bool) -> None:
    job = run(
        disco,
        input=[f"raw://{n}" for n in range(MAPS)],
        map=shuffled,
        reduce=runs,
        sort=True,
        nr_reduces=2,
        mem_sort_limit=limit,
        params=Params(value_chars=value_chars),
    )

    assert Counter(pairs(job)) == Counter((key, MAPS * COPIES) for key in KEYS)
    assert bool(job.jobinfo()["counters"].get("runs on disk")) is on_disk


NUMBERS = [*range(-9000, 9000), *(n + 0.5 for n in range(2000)), 10**30]


@pytest.mark.parametrize("limit", [PLENTY, LITTLE], ids=["memory", "external"])
def test_numbers_ascend_by_their_value(disco: Disco, limit: int) -> None:
    def numbers(entry: str, params: Any) -> Iterator[tuple[Any, None]]:
        keys = list(params)
        random.Random(entry).shuffle(keys)
        for key in keys:
            yield key, None

    def passed(pairs: Any, params: Any) -> Iterator[tuple[Any, Any]]:
        yield from pairs

    job = run(
        disco,
        input=["raw://a", "raw://b"],
        map=numbers,
        reduce=passed,
        sort=True,
        nr_reduces=1,
        mem_sort_limit=limit,
        params=NUMBERS,
    )

    assert [key for key, _ in pairs(job)] == sorted(NUMBERS * 2)
