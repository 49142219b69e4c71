"""The n largest and the least of very many values, however they come."""

from __future__ import annotations

import random
from typing import Any

import pytest

from disco_rq import func
from disco_rq.pieces.ordered import rank

NUMBERS: list[Any] = list(range(500)) * 2
INF, NAN = float("inf"), float("nan")
KINDS: dict[str, list[Any]] = {
    "numbers": NUMBERS,
    "text": list(map(str, NUMBERS)),
    "floats": [*(number / 7 - 30 for number in NUMBERS), 0.0, -0.0, 0.0, INF, -INF, NAN, NAN, -0.0],
    "zeros": [0.0, -0.0] * 20,
    "ints, and a float": [*NUMBERS, 499.0, 0.0],
    "of many types": [
        *NUMBERS,
        *map(float, NUMBERS),
        *map(str, NUMBERS),
        True,
        b"",
        (1,),
        None,
        float("nan"),
    ],
}


@pytest.mark.parametrize("least", [True, False])
@pytest.mark.parametrize("n", [1, 7, 600])
@pytest.mark.parametrize("kind", KINDS)
def test_the_best_of_many_are_those_of_a_sorted_list(kind: str, n: int, least: bool) -> None:
    values = KINDS[kind]
    _, reduce = func.top_n(n, least=least)
    best = sorted((value for value in values if value is not None), key=rank, reverse=not least)[:n]
    orders = [random.Random(seed).sample(values, len(values)) for seed in range(3)]
    for order in (values, values[::-1], *orders):
        [(_, found)] = reduce([("k", value) for value in order], None)
        assert repr(found) == repr(best)


@pytest.mark.parametrize("kind", KINDS)
def test_the_least_and_the_greatest_are_the_ends_of_a_sorted_list(kind: str) -> None:
    values = random.Random(1).sample(KINDS[kind], len(KINDS[kind]))
    ordered = sorted(values, key=rank)
    pairs = [("k", value) for value in values]
    ends = {
        func.first_of_group(): ordered[0],
        func.min_of_group(): next(value for value in ordered if value is not None),
        func.max_of_group(): ordered[-1],
    }
    for (_, reduce), expected in ends.items():
        [(_, found)] = reduce(pairs, None)
        assert repr(found) == repr(expected)


@pytest.mark.parametrize("least", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_by_says_what_counts_and_the_value_itself_where_that_is_equal(kind: str, least: bool) -> None:
    values = [(number % 3, value) for number, value in enumerate(KINDS[kind])]

    def by(pair: tuple[int, Any]) -> Any:
        return pair[1] if least else pair[0]

    best = sorted(values, key=lambda value: rank(value, by), reverse=not least)
    for seed in range(3):
        pairs = [("k", value) for value in random.Random(seed).sample(values, len(values))]
        [(_, found)] = func.top_n(5, by=by, least=least).reduce(pairs, None)
        assert repr(found) == repr(best[:5])
        [(_, end)] = (func.min_of_group if least else func.max_of_group)(by=by).reduce(pairs, None)
        assert repr(end) == repr(best[0])
