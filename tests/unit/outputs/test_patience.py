"""For how long a task tries to read from a node that cannot be reached."""

from __future__ import annotations

from disco_rq.outputs.remote import patience_of

CUT_S = 60.0
MAX_FAILURES = 3


def test_the_first_attempt_tells_soon_that_a_node_is_gone() -> None:
    assert patience_of(1) == 10.0


def test_the_attempts_of_a_task_together_outlive_a_cut_of_a_minute() -> None:
    assert sum(map(patience_of, range(1, MAX_FAILURES + 1))) > CUT_S


def test_no_attempt_waits_for_ever_however_often_its_task_was_handed_back() -> None:
    assert patience_of(1000) == 80.0
