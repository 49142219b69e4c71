"""What the endpoints read from is opened whole, or not at all."""

from __future__ import annotations

import time

import pytest

from disco_rq.client import session
from disco_rq.errors import ConnectionLost
from disco_rq.store.connection import Connection
from disco_rq.store.tasktable import TaskStore, TaskTable
from disco_rq.views import sources
from disco_rq.views.sources import Sources, Tables

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


def test_tasks_of_a_job_are_read_once_by_many_and_again_when_it_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[str] = []

    def table(_: TaskStore, job: str) -> TaskTable:
        read.append(job)
        return TaskTable({}, {})

    monkeypatch.setattr(TaskStore, "size", lambda *_: 0)
    monkeypatch.setattr(TaskStore, "table", table)
    tables = Tables(TaskStore(Connection(NOBODY)))

    tables.of("words", over=False)
    tables.of("words", over=False)
    assert read == ["words"]
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 2)
    assert 2000 <= tables.of("words", over=False).age_ms < 3000  # what ran then is not known to run now
    tables.of("words", over=True)  # what was read before has tasks that still run
    assert read == ["words", "words"]
