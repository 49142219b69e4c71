"""The ranges of keys of a job with ``partition=func.total_order``, in its record."""

from __future__ import annotations

from typing import Any

from disco_rq.model import MapInput
from disco_rq.store import keys
from disco_rq.store.attempts import unpack_input
from disco_rq.store.connection import Connection

__all__ = ["RangeStore"]


class RangeStore:
    """Reads them, and fixes them once."""

    def __init__(self, connection: Connection, job: str) -> None:
        self._connection = connection
        self._keys = keys.JobKeys(job)

    def ranges(self) -> bytes | None:
        """As they were fixed, if they were."""
        packed: bytes | None = self._connection.read("GET", self._keys.ranges)
        return packed

    def fix(self, packed: bytes, digest: str) -> bytes | None:
        """Fix these, unless some are. Those that are; None if the job is over. Commits tell the digest."""
        fixed: bytes | None = self._connection.run(
            "fix_ranges", [self._keys.job, self._keys.ranges], [packed, digest]
        )
        return fixed

    def inputs(self, indices: range) -> list[tuple[int, MapInput]]:
        """What the maps with these indices read."""
        packed: Any = self._connection.redis.hmget(self._keys.inputs, list(map(str, indices)))
        found = zip(indices, packed, strict=True)
        return [(index, unpack_input(entry)) for index, entry in found if entry is not None]
