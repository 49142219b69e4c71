"""The attempt that a replay is compared with, and how it compares."""

from __future__ import annotations

import platform
import traceback
from pathlib import Path
from typing import NamedTuple

from disco_rq import runtime
from disco_rq.attempt.usercode import message_of
from disco_rq.client.agreement import Made, differences
from disco_rq.client.keeping import MIXED
from disco_rq.client.session import Session
from disco_rq.errors import DataError, DiscoError
from disco_rq.model import JobSpec, TaskId
from disco_rq.outputs.addresses import job_of
from disco_rq.store.committed import Committed, committed

__all__ = ["Target", "Verdict", "target_of"]

_ENDED_BY_ITSELF = ("data", "error", "fatal")
"""Outcomes of attempts that raised something; others were lost, killed, or overtaken."""
_OURS = Path(runtime.__file__).parent
_KEPT_CHARS = 900
"""Of a longer error only the beginning may be kept."""


class Verdict(NamedTuple):
    """How a replay compares: see ``Replay``."""

    agrees: bool | None
    fails_alike: bool | None
    notes: list[str]


class Target(NamedTuple):
    """One attempt of a task, or that there is none."""

    task: TaskId
    number: int  # 0: it was never tried
    node: str
    failed_with: str | None  # the error that it ended with, in one line; None: it did not fail by itself
    counts: Committed | None  # what it has committed

    def verdict(
        self, session: Session, spec: JobSpec, made: Made | None, error: BaseException | None
    ) -> Verdict:
        """``made``: None if the replay raised ``error``. ``spec``: as the job's client has signed it."""
        which = f"{self.task}/{self.number}"
        if self.counts is not None and made is not None:
            return self._of_made(session, spec, made, self.counts)
        if self.counts is not None and _is_of_input(error):
            return Verdict(
                None, None, [f"what {which} has read cannot be read any more: nothing is compared"]
            )
        if self.counts is not None:
            return Verdict(False, None, [f"it fails, and {which} did not: that was committed"])
        if self.failed_with is None:
            return Verdict(None, None, ["nothing was committed" + (f" of {which}" if self.number else "")])
        if error is None:
            return Verdict(None, False, [f"it does not fail, as {which} did: {self.failed_with}"])
        if _same_words(message_of(error), self.failed_with):
            return Verdict(None, True, [f"it fails as {which} did"])
        return Verdict(None, False, [f"it fails otherwise than {which}: {self.failed_with}"])

    def _of_made(self, session: Session, spec: JobSpec, made: Made, counts: Committed) -> Verdict:
        which = f"{self.task}/{self.number}"
        try:
            found = differences(session, spec, self.task, made, counts)
        except DataError as trouble:
            return Verdict(None, None, [f"what {which} has committed cannot be read: {trouble}"])
        if found and spec.details.get(MIXED) and (job := job_of(counts.address)) not in (None, spec.name):
            found.append(f"{which} was kept of {job}, perhaps of other code")
        return Verdict(not found, None, found or [f"it is what {which} has committed"])


def target_of(session: Session, spec: JobSpec, task: TaskId, number: int | None) -> Target:
    """The attempt with that number; None: the one that counts, else the last one that failed by itself.
    ``DiscoError`` if there is no such attempt.
    """
    story = session.store.story(spec.name, task)
    counts = committed(session.connection, spec.name, task)
    if number is not None and not any(one["attempt"] == number for one in story):
        there = " ".join(str(one["attempt"]) for one in story) or "none"
        raise DiscoError(f"{task} has no attempt {number}: there are {there}")
    if counts is not None and number in (None, counts.attempt):
        return Target(task, counts.attempt, counts.node, None, counts)
    failed = [one for one in story if one["outcome"] in _ENDED_BY_ITSELF]
    meant = [one for one in story if one["attempt"] == number] or failed or story
    if not meant:
        return Target(task, 0, platform.node(), None, None)
    one = meant[-1]
    error = one.get("error", "") if one in failed else None
    return Target(task, one["attempt"], one["node"] or platform.node(), error, None)


def _is_of_input(error: BaseException | None) -> bool:
    """Whether it tells of an input that cannot be read, and is not what the job's functions have raised."""
    if not isinstance(error, DataError) or error.__traceback__ is None:
        return False
    [*_, (frame, _)] = traceback.walk_tb(error.__traceback__)
    raised_in = Path(frame.f_code.co_filename)
    return raised_in.is_relative_to(_OURS) and raised_in != Path(runtime.__file__)


def _same_words(error: str, kept: str) -> bool:
    return error == kept or (len(kept) >= _KEPT_CHARS and error.startswith(kept))
