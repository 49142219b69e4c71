"""The pairs of a job's results as soon as these are committed, one result after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import islice
from typing import Any, Protocol

from disco_rq.client.facts import describe_death
from disco_rq.client.reading import result_iterator
from disco_rq.client.results import results_of
from disco_rq.client.session import Session
from disco_rq.errors import DataError, JobError, UnknownJob
from disco_rq.model import TaskId
from disco_rq.saving import bring_out, check_outputs, is_saved
from disco_rq.store.commits import CommitLog
from disco_rq.store.jobs import JobRecord

__all__ = ["ResultStream", "stream", "stream_of"]

PATIENCE_S = 60.0
"""For how long a result is waited for whose node is away; it may be starting again."""
LOOK_S = 5.0
"""After so long the job's state is looked up even if nothing was heard."""
_PAUSE_S = 0.5
_MOST_COMMITS = 1000

Reader = Callable[..., Iterable[Any]]


class ResultStream:
    """What one reader has had of a job's results, and what comes next. Nobody waits for it."""

    def __init__(self, session: Session, name: str, reader: Reader | None = None) -> None:
        self.has_ended = False
        """Whether the job has, and all that there is was told."""
        self.offset = "0-0"
        """Of the last commit that was seen."""
        self.event = "0-0"
        """Of the last line of the history, before the job was last looked at."""
        self._session = session
        self._name = name
        self._reader = reader
        self._log = CommitLog(session.connection)
        self._given: dict[TaskId, str] = {}
        self._spec = cache(lambda: session.signed_spec(name))
        self._was_known = False

    def look(self) -> list[tuple[TaskId, str]]:
        """The next results, in the order of their commits; none: not yet, or ``has_ended``.

        Raises ``JobError`` when the job is dead and all that was committed is told, and for a result that
        was told and does not count any more; ``UnknownJob``.
        """
        last = self._session.history.last_event(self._name)
        self.event = last.offset if last else "0-0"
        is_first = not self._was_known
        record = self._record()  # before the commits: what an ended job has is all there
        if is_first and (adopted := self._adopted(record)):
            return adopted
        found = self._log.after(self._name, self.offset, _MOST_COMMITS)
        if found:
            self.offset = found[-1].offset
            return [(one.task, one.address) for one in found if self._is_new(one.task, one.address)]
        if record.status == "dead":
            raise JobError(describe_death(self._name, record.cause))
        if record.status == "ready":
            self.has_ended = True
            return self._rest(record)
        return []

    def wait(self) -> None:
        """Until something may have changed."""
        self._log.wait(self._name, self.offset, self.event, LOOK_S)

    def pairs_of(self, task: TaskId, address: str) -> Iterator[Any]:
        """The pairs of a result, each once, even if its node goes away and comes back meanwhile."""
        check_outputs(self._name, {task: address}, self._spec)
        given, before, since = 0, -1, 0.0
        while True:
            try:
                for pair in islice(self._read(task, address), given, None):
                    given += 1
                    yield pair
                return
            except DataError:
                self._record()  # a job that was purged has no results
                if given > before:
                    before, since = given, time.monotonic()
                elif time.monotonic() - since > PATIENCE_S:
                    raise
            time.sleep(_PAUSE_S)

    def _read(self, task: TaskId, address: str) -> Iterator[Any]:
        if is_saved(address):
            bring_out([address])
        results = results_of({task: address}, self._session.locator, settled=False)
        return result_iterator(results, reader=self._reader)

    def _record(self) -> JobRecord:
        try:
            record = self._session.store.record(self._name)
        except UnknownJob:
            if not self._was_known:
                raise
            raise UnknownJob(
                f"Redis has forgotten the job {self._name} while its results were read: was it purged, or "
                "cleaned?"
            ) from None
        self._was_known = True
        return record

    def _is_new(self, task: TaskId, address: str) -> bool:
        """Whether it was not given out yet. ``JobError`` if another attempt's was."""
        if task not in self._given:
            self._given[task] = address
            return True
        if self._given[task] != address:
            raise self._revoked(task)
        return False

    def _rest(self, record: JobRecord) -> list[tuple[TaskId, str]]:
        """Of a job that is ready: results of which the order of commits tells nothing, by number."""
        outputs = self._outputs(record)
        for task, address in self._given.items():
            if outputs.get(task) != address:
                raise self._revoked(task)
        return [(task, outputs[task]) for task in sorted(outputs.keys() - self._given.keys())]

    def _adopted(self, record: JobRecord) -> list[tuple[TaskId, str]]:
        """Results that the job had from an earlier one when it began: they come first."""
        if not record.count("kept") and not record.count("reused"):
            return []
        outputs = self._outputs(record)  # before the commits: what was committed since is in both
        known = {one.task for one in self._log.after(self._name, "0-0", None)}
        adopted = [(task, outputs[task]) for task in sorted(outputs.keys() - known)]
        self._given.update(adopted)
        return adopted

    def _outputs(self, record: JobRecord) -> dict[TaskId, str]:
        phase = "reduce" if record.count("nr_reduces") else "map"
        found = self._session.store.outputs(self._name)
        return {task: address for task, address in found.items() if task.phase == phase}

    def _revoked(self, task: TaskId) -> JobError:
        return JobError(
            f"the result of {task} of job {self._name} was revoked after its pairs were given out: Redis has "
            "lost its commit, and another attempt counts now. Read the results once more"
        )


class OfCluster(Protocol):
    """A ``Job``."""

    name: str
    _session: Session


def stream(self: OfCluster, reader: Reader | None = None) -> Iterator[Any]:
    """The pairs of each result as soon as it is committed, in the order of commits, each once.

    Goes on to the job's end, and over the deaths of masters and nodes; however slowly they are read,
    nobody waits for it. ``reader``: as ``result_iterator`` takes it. Behind all that was
    committed it raises ``JobError`` when the job is dead. It raises that, too, if Redis has lost a commit of
    which pairs were given out; ``UnknownJob``; ``DataError`` for a result that stays away for a minute.
    """
    return stream_of(self._session, self.name, reader)


def stream_of(
    session: Session,
    name: str,
    reader: Reader | None = None,
    idle: Callable[[], object] = lambda: None,
) -> Iterator[Any]:
    """The pairs of a job. ``idle`` is called each time before nothing is to be had."""
    stream = ResultStream(session, name, reader)
    while not stream.has_ended:
        found: Sequence[tuple[TaskId, str]] = stream.look()
        for task, address in found:
            yield from stream.pairs_of(task, address)
        if not found and not stream.has_ended:
            idle()
            stream.wait()
