"""What counts as growth: the last quarter above the first, by more than a figure may waver."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.soak.growth import LIMITS, MB, Trend, trends

SAMPLES = 60
WARM, SPARED = 5, 20


def trend_of(name: str, figure: Callable[[int], float]) -> Trend:
    samples = [{name: figure(i)} for i in range(SAMPLES)]
    (found,) = trends(samples, WARM, SPARED)
    return found


@pytest.mark.parametrize(
    ("name", "figure"),
    [
        ("Redis keys", lambda i: 40 + i),  # one a minute
        ("files", lambda i: 14 + i / 5),
        ("open files", lambda i: 300 + 2 * i),
        ("worker memory", lambda i: 43 * MB + i * MB / 5),
        ("master memory", lambda i: 57 * MB + i * MB / 4),
    ],
)
def test_a_leak_is_told(name: str, figure: Callable[[int], float]) -> None:
    assert trend_of(name, figure).grows


@pytest.mark.parametrize("name", LIMITS)
def test_what_stays_or_wavers_does_not_grow(name: str) -> None:
    chance = random.Random(name)
    some = 50 * MB if "memory" in name else 50
    assert not trend_of(name, lambda i: some).grows
    assert not trend_of(name, lambda i: some * chance.uniform(0.97, 1.03)).grows
    assert not trend_of(name, lambda i: some * (10 if i in (25, 55) else 1)).grows  # a single outlier
    assert not trend_of(name, lambda i: some - i / 10).grows


def test_warming_up_is_no_growth() -> None:
    assert not trend_of("worker memory", lambda i: (20 if i < WARM else 43) * MB).grows


def test_a_master_is_looked_at_where_none_dies_any_more() -> None:
    assert not trend_of("master memory", lambda i: (40 if i < SPARED else 57) * MB).grows
    assert trend_of("master memory", lambda i: (57 if i < SPARED else 40 + i) * MB).grows


def test_too_few_samples_tell_nothing() -> None:
    assert trends([{"files": 1.0}] * (WARM + 3), WARM, SPARED) == []
