"""How the death of a task's process reads."""

from __future__ import annotations

import signal

import pytest

from disco_rq.worker import horse
from disco_rq.worker.finished import Finished
from disco_rq.worker.horse import Death, death_in_words


def test_a_death_for_lack_of_memory_says_so() -> None:
    told = death_in_words(Death(signal.SIGKILL), overdue=False, out_of_memory=True)
    assert told == "the process of the task was killed by SIGKILL (the kernel ran out of memory)"


def test_any_other_death_does_not() -> None:
    told = death_in_words(Death(signal.SIGKILL), overdue=False, out_of_memory=False)
    assert told == "the process of the task was killed by SIGKILL"


def test_a_horse_knows_what_the_kernel_has_killed_since_it_began(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(horse, "_oom_kills", lambda: 7)
    one = horse.Horse(lambda: (lambda *_: horse.Fitness.DONE, lambda: None), horse.Progress(), Finished())
    try:
        assert not one.out_of_memory()
        monkeypatch.setattr(horse, "_oom_kills", lambda: 8)
        assert one.out_of_memory()
    finally:
        one.bury()
