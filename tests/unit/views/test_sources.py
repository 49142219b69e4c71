"""What the endpoints read from is opened whole, or not at all."""

from __future__ import annotations

import pytest

from disco_rq.client import session
from disco_rq.errors import ConnectionLost
from disco_rq.store.connection import Connection
from disco_rq.views import sources
from disco_rq.views.sources import Sources

NOBODY = "redis://127.0.0.1:1"


def test_what_cannot_be_opened_leaves_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Connection] = []
    closed: list[Connection] = []

    class Watched(Connection):
        def __init__(self, url: str, *, patience_s: float = 0.0) -> None:
            super().__init__(url, patience_s=0.0)
            opened.append(self)

        def close(self) -> None:
            closed.append(self)
            super().close()

    monkeypatch.setattr(sources, "Connection", Watched)
    monkeypatch.setattr(session, "Connection", Watched)

    with pytest.raises(ConnectionLost):
        Sources.open(NOBODY, None)

    assert len(opened) == 2
    assert set(map(id, closed)) == set(map(id, opened))
