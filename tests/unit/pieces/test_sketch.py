"""How well a sketch tells the number of distinct values."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from disco_rq import func
from disco_rq.errors import TaskError
from disco_rq.pieces.sketch import MARK, Sketch, bits_for, digest

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def counts(error: float, number: int, trials: int) -> list[int]:
    """What sketches of so many digests at random say."""
    found = []
    for trial in range(trials):
        rnd, sketch = random.Random(trial), Sketch(bits_for(error))
        for _ in range(number):
            sketch.add(rnd.getrandbits(64))
        found.append(sketch.count())
    return found


@pytest.mark.parametrize("error", [0.25, 0.05])
@pytest.mark.parametrize("number", [200, 1_000, 10_000])
def test_the_error_is_no_more_than_was_asked_for(error: float, number: int) -> None:
    trials = 40
    deviations = [found / number - 1 for found in counts(error, number, trials)]
    # The standard deviation of so many trials, with five standard errors of its own.
    assert math.sqrt(sum(it * it for it in deviations) / trials) <= error * (1 + 5 / math.sqrt(2 * trials))
    assert abs(sum(deviations) / trials) <= 4 * error / math.sqrt(trials)


def test_of_few_values_the_number_is_exact() -> None:
    assert counts(0.01, 2_000, 3) == [2_000] * 3


def test_parts_tell_as_much_as_the_whole_whatever_the_order() -> None:
    rnd = random.Random(1)
    digests = [rnd.getrandbits(64) for _ in range(3_000)]
    whole = Sketch(9)
    for found in digests:
        whole.add(found)
    parts = [digests[:20], digests[10:2_000], digests[2_000:], []]
    for order in (parts, parts[::-1]):
        together = Sketch(9)
        for part in order:
            sketch = Sketch(9)
            for found in part:
                sketch.add(found)
            assert together.merge(sketch.pack())
        assert together.pack() == whole.pack()


@pytest.mark.parametrize("packed", [MARK, MARK + b"x", Sketch(5).pack(), MARK + bytes([9, 1]) + b"short"])
def test_no_sketch_of_another_size_is_taken(packed: bytes) -> None:
    assert not Sketch(9).merge(packed)


@pytest.mark.parametrize(
    "equal",
    [
        [1, 1.0, True, Decimal(1), Decimal("1.00")],
        [0.5, Decimal("0.5")],
        [float("nan"), Decimal("nan")],
        [10**30, Decimal(10) ** 30],
        [2**1000, float(2**1000), Decimal(2**1000)],
        [-(10**1200), Decimal("-1E+1200"), Decimal(-(10**1200))],
        [10**6000 + 1, Decimal(10**6000 + 1)],
        [NOON, NOON.astimezone(timezone(timedelta(hours=5)))],
        [{1, 2}, frozenset({2.0, 1.0})],
        [[1, {"a": None}], [True, {"a": None}]],
    ],
)
def test_what_is_equal_has_one_digest(equal: list[Any]) -> None:
    assert len(set(map(digest, equal))) == 1


def test_what_differs_has_another_digest() -> None:
    differing: list[Any] = [
        *(0, 1, -1, -2, 0.1, Decimal("0.1"), math.inf, -math.inf, math.nan),
        *("1", b"1", None, "", b"", (), [], set(), {}),
        *((1,), [1], {1}, ("a", "b"), ("a,sb",), ("ab",), ["ab"], "ab", ("a", ("b",)), (("a",), "b")),
        *(NOON, NOON.replace(tzinfo=None), NOON.date(), NOON.time(), timedelta(1)),
        *(2**61 - 1, 2 * (2**61 - 1), 1 - 2**61, UUID(int=2**61 - 1), UUID(int=0), 2**61, 2**1000, 10**1000),
        *(10**6000, 10**6000 + 1, -(10**6000), Decimal("1E+999999"), Decimal("1E-999999")),
        *(Decimal(10**6000 + 1).scaleb(-1), 1e300, Decimal("1e-300")),
    ]
    assert len(set(map(digest, differing))) == len(differing)


def test_sketches_of_another_error_are_refused_with_the_key() -> None:
    _, reduce = func.count_distinct(error=0.1)
    with pytest.raises(TaskError, match=r"count_distinct takes no sketches of another error.*key 'k'"):
        list(reduce([("k", Sketch(9).pack())], None))
