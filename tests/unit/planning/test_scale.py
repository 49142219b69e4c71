"""300 slots in virtual time: they are busy, every job gets its share, deaths cost what died."""

from __future__ import annotations

from tests.scale.virtual import Play, Story


def test_slots_are_busy_and_no_job_starves_whatever_dies() -> None:
    outcome = Play(Story(nodes=30, slots=10, jobs=20, tasks=20_000, mean_s=3.0, deaths=10)).run()

    print(outcome)
    assert outcome.tasks == 20_000
    assert outcome.lost > 0
    assert outcome.utilisation >= 0.95
    assert outcome.least_share >= 0.9


def test_short_tasks_keep_slots_busy_by_one_batch_ahead() -> None:
    outcome = Play(Story(nodes=30, slots=4, jobs=5, tasks=40_000, mean_s=0.02, deaths=0)).run()

    print(outcome)
    assert outcome.utilisation >= 0.9
