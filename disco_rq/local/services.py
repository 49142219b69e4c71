"""The runtime API's way to the record of a local job."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from disco_rq.errors import OOBNotFound
from disco_rq.local.record import NODE, LocalRecord
from disco_rq.model import MSG_QUOTA, OOB_QUOTA, Phase, TaskId
from disco_rq.oobvalues import untyped

__all__ = ["LocalServices"]


class LocalServices:
    """That of one attempt. What it has put is ``staged`` until it is committed."""

    def __init__(self, record: LocalRecord, task: TaskId, other_jobs: Callable[[str], LocalRecord]) -> None:
        self.staged: dict[str, tuple[str, bytes]] = {}
        self._record = record
        self._task = task
        self._other_jobs = other_jobs

    def put(self, key: str, typed_value: bytes, count: int) -> int:
        if key in self.staged or key in self._record.oob:
            return 1
        if count > OOB_QUOTA:
            return 2
        self.staged[key] = self._task.phase, typed_value
        return 0

    def get(self, key: str, phase: Phase | None) -> Any:
        put_in, typed_value = self._record.oob[key]
        if phase not in (None, put_in):
            raise KeyError(key)
        return untyped(typed_value[:1], typed_value[1:])

    def get_from(self, job: str, key: str) -> Any:
        oob = self._other_jobs(job).oob
        if key not in oob:
            raise OOBNotFound(f"job {job} has no OOB result {key!r}")
        _, typed_value = oob[key]
        return untyped(typed_value[:1], typed_value[1:])

    def take_back(self, keys: Sequence[str]) -> None:
        for key in keys:
            self.staged.pop(key, None)

    def bad_elsewhere(self) -> int:
        return sum(nr_bad for nr_bad, _ in self._record.bad.values())

    def message(self, text: str) -> int:
        second = int(time.time())
        sent = sum(event.by_job and int(event.timestamp) == second for event in self._record.events[-1000:])
        if sent >= MSG_QUOTA:
            self._record.msgs_dropped += 1
            return 0
        self._record.tell(NODE, text, by_job=True)
        return 1
