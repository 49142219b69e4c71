"""The n largest and the least of very many values, however they come."""

from __future__ import annotations

import random
from typing import Any

import pytest

from disco_rq import func
from disco_rq.pieces.ordered import rank

NUMBERS: list[Any] = list(range(500)) * 2
KINDS: dict[str, list[Any]] = {
    "numbers": NUMBERS,
    "text": list(map(str, NUMBERS)),
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
