"""Whose turn it is: the quick look gives what the plain one gives, and costs the same with many owners."""

from __future__ import annotations

import random

import pytest

from disco_rq.planning.owners import Rank
from disco_rq.planning.turns import Place, Turn, Waiting


def _turn(name: str, chance: random.Random) -> Turn:
    return -chance.randint(0, 1), chance.randint(0, 2), chance.randint(0, 3), 0, name


def _rank(chance: random.Random) -> Rank:
    return chance.randint(0, 2), float(chance.randint(0, 2)), chance.randint(0, 1)


@pytest.mark.parametrize("seed", range(30))
def test_who_waits_first_is_found_as_by_looking_at_all_whatever_was_served_before(seed: int) -> None:
    chance = random.Random(seed)
    owners = [f"o{i}" for i in range(chance.randint(1, 12))]
    turns = {owner: [_turn(f"{owner}-{i}", chance) for i in range(chance.randint(1, 4))] for owner in owners}
    ranks = {owner: _rank(chance) for owner in owners}
    waiting = Waiting(turns, ranks.__getitem__)

    for _ in range(40):
        served = chance.choice([*owners, "nobody"])
        ranks[served] = _rank(chance)
        waiting.served(served)
        fit = {turn[-1] for some in turns.values() for turn in some if chance.random() < 0.6}
        plain: list[Place] = [
            (ranks[owner], turn) for owner, some in turns.items() for turn in some if turn[-1] in fit
        ]
        assert waiting.first(fit.__contains__) == min(plain, default=None)


def test_a_look_at_a_thousand_owners_asks_the_first_job_only() -> None:
    turns = {f"o{i}": [(0, 0, i, 0, f"job{i}")] for i in range(1000)}
    waiting = Waiting(turns, lambda owner: (0, 0.0, int(owner[1:])))
    asked: list[str] = []

    def takes(name: str) -> bool:
        asked.append(name)
        return True

    for _ in range(5):
        assert waiting.first(takes) == ((0, 0.0, 0), (0, 0, 0, 0, "job0"))
    assert asked == ["job0"] * 5
