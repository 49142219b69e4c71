"""What a replayed task reaches: all that it may read, and nothing that it could change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from disco_rq.attempt.stored import StoredRanges, oob_of_ended
from disco_rq.model import OOB_QUOTA, MapInput, Phase
from disco_rq.oobvalues import untyped
from disco_rq.store.attempts import Attempt, AttemptStore, find_oob
from disco_rq.store.connection import Connection

__all__ = ["ReplayRanges", "ReplayServices"]


class ReplayServices:
    """Of one replay. What it puts and says is kept here."""

    def __init__(self, connection: Connection, attempt: Attempt) -> None:
        """``attempt``: the one that is replayed."""
        self.messages: list[str] = []
        self._staged: dict[str, bytes] = {}
        self._connection = connection
        self._attempt = attempt

    @property
    def puts(self) -> dict[str, Any]:
        return {key: untyped(value[:1], value[1:]) for key, value in self._staged.items()}

    def put(self, key: str, typed_value: bytes, count: int) -> int:
        owner = find_oob(self._connection, self._attempt.job, key).owner
        if key in self._staged or owner not in (None, self._attempt.task):
            return 1
        if count > OOB_QUOTA:
            return 2
        self._staged[key] = typed_value
        return 0

    def get(self, key: str, phase: Phase | None) -> Any:
        found = find_oob(self._connection, self._attempt.job, key)
        if found.owner is None or phase not in (None, found.owner.phase):
            raise KeyError(key)
        return found.value

    def get_from(self, job: str, key: str) -> Any:
        return oob_of_ended(self._connection, job, key)

    def take_back(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._staged.pop(key, None)

    def message(self, text: str) -> int:
        self.messages.append(text)
        return 1

    def bad_elsewhere(self) -> int:
        return AttemptStore(self._connection).bad_elsewhere(self._attempt)


class ReplayRanges:
    """The ranges of the job's keys, as they were fixed; where none are, the replay goes by its own."""

    def __init__(self, stored: StoredRanges) -> None:
        self._stored = stored

    def ranges(self) -> bytes | None:
        return self._stored.ranges()

    def fix_ranges(self, packed: bytes, digest: str) -> bytes:  # noqa: ARG002
        return packed

    def some_inputs(self) -> Sequence[tuple[int, MapInput]]:
        return self._stored.some_inputs()
