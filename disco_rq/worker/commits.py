"""The commits of a batch: those of small tasks are sent together, and none waits long."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from disco_rq.attempt.usercode import is_exhaustion
from disco_rq.errors import DataError
from disco_rq.model import TaskId
from disco_rq.outputs.addresses import output_name
from disco_rq.outputs.datadir import DataDir
from disco_rq.records import write_outputs
from disco_rq.saving import discard, is_saved, publish
from disco_rq.store.attempts import AttemptStore, Commit
from disco_rq.worker.endings import Endings

__all__ = ["Commits"]

log = logging.getLogger("disco_rq.execution")

FLUSH_S = 0.02
"""Commits of small tasks are sent together, but none waits longer than this for the next task to end."""


class Commits:
    """Of attempts that have ended well, until Redis knows of them."""

    def __init__(self, store: AttemptStore, data: DataDir, aside: Path, endings: Endings) -> None:
        """``aside``: a path on the disk of ``data``, to write to."""
        self._store = store
        self._data = data
        self._aside = aside
        self._endings = endings
        self._waiting: list[Commit] = []
        self._waiting_since = 0.0

    def add(self, commit: Commit) -> None:
        if not self._waiting:
            self._waiting_since = time.monotonic()
        self._waiting.append(commit)

    def flush_in_time(self, *, now: bool) -> None:
        """Commit what waits, if it has waited long enough, or ``now``."""
        if self._waiting and (now or time.monotonic() - self._waiting_since > FLUSH_S):
            self.flush()

    def flush(self) -> None:
        """Commit what has ended. An attempt that does not count leaves no file behind."""
        commits, self._waiting = self._waiting, []
        commits = self._write_small(commits)
        for commit, answer in zip(commits, self._store.commit(commits) if commits else [], strict=True):
            attempt = commit.attempt
            if answer == "ok":
                _publish(commit)
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

    def _discard(self, commit: Commit) -> None:
        attempt = commit.attempt
        task = TaskId.parse(attempt.task)
        self._data.output(attempt.job, task, attempt.number).unlink(missing_ok=True)
        self._data.profile(attempt.job, task, attempt.number).unlink(missing_ok=True)
        if is_saved(commit.address):
            discard(commit.address)

    def _write_small(self, commits: list[Commit]) -> list[Commit]:
        """Write the outputs that are in memory. Returns the commits whose output is there."""
        small = {
            output_name(TaskId.parse(commit.attempt.task), commit.attempt.number): commit.result.content
            for commit in commits
            if commit.result.content is not None
        }
        if not small:
            return commits
        try:
            write_outputs(self._data.job(commits[0].attempt.job), small, self._aside)
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


def _publish(commit: Commit) -> None:
    """Give a saved output its final name, now that it counts. What goes wrong here is done again by the
    client that asks for the results.
    """
    if not is_saved(commit.address):
        return
    try:
        publish(commit.address)
    except DataError as error:
        fields = {"action": "publish", "job": commit.attempt.job}
        log.warning("%s %s: %s", commit.attempt.job, commit.attempt, error, extra=fields)
