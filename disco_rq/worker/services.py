"""The runtime API's way to Redis, in a worker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from disco_rq.attempt.stored import oob_of_ended
from disco_rq.model import Phase
from disco_rq.store.attempts import Attempt, AttemptStore, find_oob
from disco_rq.store.connection import Connection

__all__ = ["TaskServices"]


class TaskServices:
    """Of one attempt. ``oob_changes_seen``: see ``Commit``."""

    def __init__(self, connection: Connection, store: AttemptStore, attempt: Attempt) -> None:
        self._connection = connection
        self._store = store
        self._attempt = attempt
        self.oob_changes_seen: int | None = None

    def put(self, key: str, typed_value: bytes, count: int) -> int:
        return self._store.put(self._attempt, key, typed_value, count)

    def get(self, key: str, phase: Phase | None) -> Any:
        found = find_oob(self._connection, self._attempt.job, key)
        # What is replaced from now on is not what was read; nor what was not there.
        if self.oob_changes_seen is None:
            self.oob_changes_seen = found.changes
        if found.owner is None or phase not in (None, found.owner.phase):
            raise KeyError(key)
        return found.value

    def get_from(self, job: str, key: str) -> Any:
        return oob_of_ended(self._connection, job, key)

    def take_back(self, keys: Sequence[str]) -> None:
        self._store.take_back(self._attempt, keys)

    def bad_elsewhere(self) -> int:
        return self._store.bad_elsewhere(self._attempt)

    def message(self, text: str) -> int:
        return self._store.message(self._attempt.job, self._attempt.node, text)
