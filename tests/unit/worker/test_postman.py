"""Whether a cluster that closes knows of each end that is still to be told."""

from __future__ import annotations

from typing import Any

import pytest

from disco_rq.settings import WebhookSettings
from disco_rq.worker.postman import Postman

STEPS = ("noted", "waiting", "under way", "told")


class Moving:
    """Redis, a queue and its registry in one: an end goes a step on, each time that anything is asked."""

    def __init__(self, first: int) -> None:
        self.step = first

    def _is(self, name: str) -> int:
        at, self.step = STEPS[self.step], min(self.step + 1, len(STEPS) - 1)
        return int(at == name)

    def hlen(self, _: Any) -> int:
        return self._is("noted")

    @property
    def count(self) -> int:
        return self._is("waiting")

    def get_job_count(self, **_: Any) -> int:
        return self._is("under way")

    def cleanup(self) -> None:
        pass


def test_an_end_that_is_on_its_way_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    postman = Postman("redis://127.0.0.1:1", WebhookSettings(), lambda _: lambda: True)
    moving = Moving(0)
    for name in ("_redis", "_queue", "_under_way"):
        monkeypatch.setattr(postman, name, moving)
    monkeypatch.setattr(postman, "_is_taken_care_of", lambda: False)

    postman.look()

    assert postman.untold > 0


def test_who_is_out_has_something_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    postman = Postman("redis://127.0.0.1:1", WebhookSettings(), lambda _: lambda: True)
    monkeypatch.setattr(postman, "_is_out", lambda: True)
    moving = Moving(len(STEPS) - 1)
    for name in ("_redis", "_queue", "_under_way"):
        monkeypatch.setattr(postman, name, moving)

    postman.look()

    assert postman.untold == 1
