"""How an attempt ends that does not count: it failed, is handed back, or its job is gone."""

from __future__ import annotations

import errno
import logging
import shutil
from collections.abc import Callable
from contextlib import suppress

from disco_rq.attempt.place import Place
from disco_rq.attempt.usercode import describe, failure_kind
from disco_rq.errors import OtherVersion
from disco_rq.model import JobSpec
from disco_rq.outputs.adopted import Adopted
from disco_rq.store.attempts import Attempt, AttemptStore, Failure

__all__ = ["Endings"]

log = logging.getLogger("disco_rq.execution")

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


class Endings:
    """Of the attempts of one worker."""

    def __init__(
        self, store: AttemptStore, place: Place, *, spec_of: Callable[[str], JobSpec | None]
    ) -> None:
        """``spec_of``: of a job, if this process knows it; without it a failure is never survived."""
        self._store = store
        self._node, self._data = place.node, place.data
        self._spec_of = spec_of

    def fail(self, attempt: Attempt, error: BaseException) -> None:
        """Tell why it failed; what follows is decided in Redis."""
        spec = self._spec_of(attempt.job)
        kind, failure = failure_kind(error), describe(error)
        survives = 0
        if spec is not None:
            survives = spec.max_failures if kind == "data" else spec.task_retries
            addresses = getattr(error, "urls", ()) or (failure.url or "",)
            task_at = Adopted(spec).task_at
            found = [(task, url) for url in addresses if (task := task_at(url))]
            lost = [(task, url) for task, url in found if task.phase == "map"]
            if kind == "data" and lost and attempt.task.phase == "reduce":
                answers = {
                    self._store.lose_output(attempt, task, url, failure, survives=survives)
                    for task, url in lost
                }
                # Not the reduce's fault: it waits for the maps to be made again. But what a copy cannot reach
                # the first attempt may well have read.
                kind = "data" if "copy" in answers else "release"
        answer = self._store.fail(attempt, kind, failure, survives=survives)
        fields = {"action": "fail", "job": attempt.job}
        log.info("%s %s failed: %s (%s)", attempt.job, attempt, failure.message, answer, extra=fields)
        if answer == "overtaken":
            self.forget_if_gone(attempt)

    def release(self, attempt: Attempt, why: str) -> None:
        """Hand an attempt back, uncounted."""
        self._store.fail(attempt, "release", Failure(why), survives=0)

    def refuse(self, attempt: Attempt, error: OtherVersion) -> None:
        """Hand it back: this node cannot run it."""
        self._store.fail(attempt, "refuse", describe(error), survives=0)

    def forget_if_gone(self, attempt: Attempt) -> None:
        """The job was purged, or cleaned, while this attempt was writing: others' files may stay."""
        if self._store.job(attempt.job) is not None:
            return
        self._data.output(attempt.job, attempt.task, attempt.number).unlink(missing_ok=True)
        self._data.log(attempt.job, attempt.task, attempt.number).unlink(missing_ok=True)
        self._data.profile(attempt.job, attempt.task, attempt.number).unlink(missing_ok=True)
        self._data.bad(attempt.job, attempt.task, attempt.number).unlink(missing_ok=True)
        shutil.rmtree(self._data.required(attempt.job), ignore_errors=True)
        with suppress(OSError):  # other files are there: it was cleaned, or a purge is under way
            self._data.job(attempt.job).rmdir()

    def blame_disk(self, error: BaseException) -> None:
        """Say of a disk that is full which one it is."""
        if isinstance(error, OSError) and error.filename is None and error.errno in FULL:
            error.add_note(f"in the data directory {self._data.root} of node {self._node}")
