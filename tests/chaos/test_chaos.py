"""The short form of ``make chaos``."""

from __future__ import annotations

import pytest

from tests.chaos.__main__ import ROUND_TIMEOUT_S, play_rounds

SEEDS = range(14, 18)
"""Together they have every sort of harm, and tasks that leave processes behind."""


@pytest.mark.long
@pytest.mark.timeout(ROUND_TIMEOUT_S)
def test_whatever_dies_a_job_ends_with_the_answer_or_dead_with_the_cause() -> None:
    for went_well, how in play_rounds(SEEDS, at_once=len(SEEDS)):
        print(how)
        assert went_well, how
