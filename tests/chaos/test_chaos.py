"""The short form of ``make chaos``."""

from __future__ import annotations

from tests.chaos.__main__ import play_rounds

SEEDS = range(1, 5)


def test_whatever_dies_a_job_ends_with_the_answer_or_dead_with_the_cause() -> None:
    for went_well, how in play_rounds(SEEDS, at_once=len(SEEDS)):
        print(how)
        assert went_well, how
