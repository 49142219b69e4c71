"""What an attempt reads of its job's record in Redis: the outputs of the maps, the ranges of its keys, OOB
results of other jobs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from disco_rq.errors import BadSignature, OOBNotFound, OOBNotReadable
from disco_rq.model import Input, JobSpec, MapInput, TaskId
from disco_rq.outputs.adopted import Adopted
from disco_rq.packing import TaskSeal
from disco_rq.redact import redact
from disco_rq.runtime import Overtaken
from disco_rq.store.attempts import AttemptStore, check_input
from disco_rq.store.connection import Connection
from disco_rq.store.jobs import JobStore
from disco_rq.store.ranges import RangeStore

__all__ = ["InputsMissing", "StoredFeed", "StoredRanges", "oob_of_ended"]


def oob_of_ended(connection: Connection, job: str, key: str) -> Any:
    """A result of another job. ``OOBNotFound``; ``OOBNotReadable`` of one that has not ended."""
    jobs = JobStore(connection)
    status = jobs.statuses([job])[0]
    if status is None:
        raise OOBNotFound(f"unknown job {job!r}")
    if status == "active":
        raise OOBNotReadable(f"the OOB results of job {job} can be read when it has ended; it is active")
    return jobs.oob_get(job, key)


MOST_INPUTS = 1000
"""So many maps' inputs are looked at for the ranges of a job's keys."""


class StoredRanges:
    """The ranges of one job's keys, in Redis. ``BadSignature`` for what none of its tasks has put there."""

    def __init__(self, connection: Connection, spec: JobSpec, seal: TaskSeal) -> None:
        self._seal = seal
        self._store = RangeStore(connection, spec.name)
        self._nr_maps = spec.nr_maps

    def ranges(self) -> bytes | None:
        sealed = self._store.ranges()
        return None if sealed is None else self._seal.opened_ranges(sealed)

    def fix_ranges(self, packed: bytes, digest: str) -> bytes:
        """Fix these, unless some are. ``Overtaken`` when the job is over."""
        fixed = self._store.fix(self._seal.seal_ranges(packed), digest)
        if fixed is None:
            raise Overtaken
        return self._seal.opened_ranges(fixed)

    def some_inputs(self) -> Sequence[tuple[int, MapInput]]:
        found = self._store.inputs(range(0, self._nr_maps, -(-self._nr_maps // MOST_INPUTS)))
        for index, entry in found:
            check_input(entry, index, self._seal)
        return found


class InputsMissing(BaseException):
    """An output of the map phase was lost after this reduce was assigned. Not for user code to catch."""


class StoredFeed:
    """What a reduce reads. ``BadSignature`` for what is not of its job, or not as its client has signed it.

    ``changes_seen``: how often maps had come back different in its partition when it asked for their outputs.
    """

    def __init__(self, store: AttemptStore, spec: JobSpec, task: TaskId, seal: TaskSeal) -> None:
        self._store = store
        self._spec = spec
        self._task = task
        self._seal = seal
        self._changes_seen: int | None = None

    @property
    def changes_seen(self) -> int:
        return self._changes_seen or 0

    def is_empty(self) -> bool:
        """Whether no map has written anything for this reduce; ``InputsMissing`` if one is not there now."""
        size, nr_maps, self._changes_seen = self._store.written_for(self._spec.name, self._task.index)
        if nr_maps < self._spec.nr_maps:
            raise InputsMissing
        return size == 0

    def map_outputs(self) -> Sequence[str]:
        """The addresses of all map outputs; ``InputsMissing`` if one is not there now."""
        outputs, changes = self._store.map_outputs(self._spec.name, self._task.index)
        if self._changes_seen is None:  # what has changed since the first look is not what was read
            self._changes_seen = changes
        if len(outputs) < self._spec.nr_maps:
            raise InputsMissing
        adopted = Adopted(self._spec)
        for index in range(self._spec.nr_maps):
            address = outputs.get(index)
            if adopted.task_at(address) != TaskId("map", index):
                raise BadSignature(f"{redact(str(address))} is not an output of map:{index} of this job")
        return [outputs[index] for index in range(self._spec.nr_maps)]

    def inputs(self) -> Sequence[Input]:
        """The inputs of a job without a map."""
        found = self._store.inputs(self._spec.name)
        if list(found) != list(range(self._spec.nr_inputs)):
            raise BadSignature(f"the inputs of {self._spec.name} are not those that its client has signed")
        for index, entry in found.items():
            check_input(entry, index, self._seal)
        return [part[0] for entry in found.values() for part in entry.parts]
