"""The commits of a batch: those of small tasks are sent together, and none waits long."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from disco_rq.attempt.place import Place
from disco_rq.errors import DataError
from disco_rq.machine.exhaustion import is_exhaustion
from disco_rq.outputs.addresses import output_name
from disco_rq.records import write_outputs
from disco_rq.saving import discard, is_saved, publish, sync_place
from disco_rq.store.attempts import AttemptStore, Commit
from disco_rq.worker.endings import Endings
from disco_rq.worker.finished import Finished

__all__ = ["Commits"]

log = logging.getLogger("disco_rq.execution")

FLUSH_S = 0.03
"""Commits of small tasks are sent together, but none waits longer than this for the next task to end."""
LATE_S = 0.035
"""What has waited for so long is committed by the worker, within 50 ms: the horse had its chance."""


class Commits:
    """Of attempts that have ended well, until Redis knows of them."""

    def __init__(self, store: AttemptStore, place: Place, endings: Endings, finished: Finished) -> None:
        """``finished``: where they wait."""
        self._store = store
        self._place, self._data = place, place.data
        self._endings = endings
        self._finished = finished
        self._synced: Path | None = None  # the job's directory whose name is on the disk

    def add(self, commit: Commit) -> None:
        """Of the process that runs the attempts: this one is done."""
        with self._finished.held():
            if not self._finished.add(commit):
                self._commit([*self._finished.all(), commit])
                self._finished.clear()

    def flush_in_time(self, *, now: bool) -> None:
        """Commit what waits, if it has waited long enough, or ``now``."""
        waits_s = self._finished.waits_s
        if waits_s and (now or waits_s > FLUSH_S):
            self.flush()

    def flush(self) -> None:
        """Commit what has ended."""
        with self._finished.held():
            self.flush_held()

    def flush_for_other(self) -> None:
        """The same for another process, which is at its next task, if it is not at this just now."""
        if self._finished.waits_s > LATE_S:
            with self._finished.held_if_free() as is_held:
                if is_held:
                    self.flush_held()

    def flush_held(self) -> None:
        """Commit what has ended; nobody else can be at it."""
        self._commit(self._finished.all())
        self._finished.clear()

    def _commit(self, commits: list[Commit]) -> None:
        """An attempt that does not count leaves no file behind. Each may have been committed before."""
        commits = self._write_small(commits)
        directories: set[str] = set()  # of saved results
        for commit, answer in zip(commits, self._store.commit(commits) if commits else [], strict=True):
            attempt = commit.attempt
            if answer == "ok":
                _publish(commit, sync=self._place.fsync)
                directories.add(commit.address.rpartition("/")[0])
            else:
                if not self._store.is_given_again(attempt):
                    self._discard(commit)
                if answer == "incomplete":
                    self._endings.release(attempt, "Redis has lost what it put, at a failover")
                elif answer == "stale":
                    self._endings.release(attempt, "a map that it had read came back different")
                elif answer == "over":  # else its lease runs out, and its worker is called lost for that
                    self._endings.release(attempt, "its job had ended before it was done")
                log.warning(
                    "%s %s: %s", attempt.job, attempt, answer, extra={"action": answer, "job": attempt.job}
                )
                self._endings.forget_if_gone(attempt)
        if self._place.fsync:
            _sync_names(directories)

    def _discard(self, commit: Commit) -> None:
        attempt = commit.attempt
        self._data.output(attempt.job, attempt.task, attempt.number).unlink(missing_ok=True)
        self._data.profile(attempt.job, attempt.task, attempt.number).unlink(missing_ok=True)
        self._data.bad(attempt.job, attempt.task, attempt.number).unlink(missing_ok=True)
        if is_saved(commit.address):
            discard(commit.address)

    def _write_small(self, commits: list[Commit]) -> list[Commit]:
        """Write the outputs that are in memory. Returns the commits whose output is there."""
        small = {
            output_name(commit.attempt.task, commit.attempt.number): commit.result.content
            for commit in commits
            if commit.result.content is not None
        }
        if not small:
            return commits
        sync = self._place.fsync and any(commit.is_result for commit in commits)
        try:
            directory = self._data.job(commits[0].attempt.job)
            is_first = directory != self._synced
            write_outputs(directory, small, self._place.scratch.out, sync=sync, sync_parent=is_first)
            self._synced = directory if sync else self._synced
        except OSError as error:
            self._endings.blame_disk(error)
            for commit in commits:
                if commit.result.content is None:
                    continue
                if is_exhaustion(error):  # of the process, by whatever another task has left there
                    self._endings.release(commit.attempt, f"its output could not be written: {error}")
                else:
                    self._endings.fail(commit.attempt, error)
            return [commit for commit in commits if commit.result.content is None]
        return commits


def _publish(commit: Commit, *, sync: bool) -> None:
    """Give a saved output its final name, now that it counts. What goes wrong here is done again by the
    client that asks for the results.
    """
    if not is_saved(commit.address):
        return
    try:
        publish(commit.address, sync=sync)
    except DataError as error:
        fields = {"action": "publish", "job": commit.attempt.job}
        log.warning("%s %s: %s", commit.attempt.job, commit.attempt, error, extra=fields)


def _sync_names(directories: Iterable[str]) -> None:
    """The final names of saved results, once for a directory. What fails here has its attempt's name."""
    for directory in directories:
        if is_saved(directory):
            with suppress(OSError):
                sync_place(directory)
