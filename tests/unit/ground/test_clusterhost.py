"""The process that owns an embedded cluster."""

from __future__ import annotations

from typing import Any, cast

import pytest

from disco_rq import DiscoError, clusterhost
from disco_rq.client.embedded import ANSWER_TIMEOUT_S, START_TIMEOUT_S


def test_it_does_not_say_that_it_is_ready_without_its_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusterhost, "START_TIMEOUT_S", 0.05)
    monkeypatch.setattr(clusterhost, "live_slots", lambda _: {"localhost": 1})
    with pytest.raises(DiscoError, match="1 of its 2 workers are there after"):
        clusterhost._wait_for_workers(cast(Any, None), 2)


def test_its_owner_waits_longer_than_it_does_itself() -> None:
    assert ANSWER_TIMEOUT_S > START_TIMEOUT_S
