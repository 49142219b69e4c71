"""The thread of a worker that commits what its horse has done, while the next task there takes long."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from redis.exceptions import RedisError

from disco_rq.attempt.place import Place
from disco_rq.errors import DiscoError
from disco_rq.model import JobSpec
from disco_rq.store.attempts import AttemptStore
from disco_rq.store.connection import Connection
from disco_rq.worker.commits import Commits
from disco_rq.worker.endings import Endings
from disco_rq.worker.finished import Finished

__all__ = ["LateCommits"]

log = logging.getLogger("disco_rq.commits")

LOOK_S = 0.01
"""How often is looked whether something waits. Only while a batch of several tasks takes long."""


class LateCommits(threading.Thread):
    """Told by ``watch`` and ``unwatch`` where to look. It has a connection of its own."""

    def __init__(self, connection: Connection, place: Place) -> None:
        super().__init__(name="commits", daemon=True)
        self._store = AttemptStore(connection)
        self._place = place
        self._endings = Endings(self._store, place, spec_of=self._spec_of)
        self._lock = threading.Lock()
        self._watched: Finished | None = None
        self._wanted = threading.Event()  # there is something to look at, or the end
        self._ended = threading.Event()

    def watch(self, finished: Finished) -> None:
        """From now on commit what waits there."""
        self._watched = finished
        self._wanted.set()

    def unwatch(self) -> None:
        """Returns when nothing is being committed any more."""
        if self._watched is not None:
            self._wanted.clear()
            with self._lock:
                self._watched = None

    def stop(self) -> None:
        self._ended.set()
        self._wanted.set()

    def finish(self, finished: Finished) -> None:
        """Commit what a horse has done that is dead or has broken down. After ``unwatch``, in any thread.

        What cannot be committed is handed back with the rest of its batch.
        """
        with self._lock, self._told():
            self._commits_of(finished).flush_held()

    def run(self) -> None:
        """Until stopped. Redis being away is for the horse to wait out."""
        while self._wanted.wait() and not self._ended.wait(LOOK_S):
            with self._lock, self._told():
                if self._watched is not None:
                    self._commits_of(self._watched).flush_for_other()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (DiscoError, RedisError, OSError, ValueError) as error:
            log.warning("not committed: %s", error, extra={"action": "commit"})

    def _commits_of(self, finished: Finished) -> Commits:
        return Commits(self._store, self._place, self._endings, finished)

    def _spec_of(self, job: str) -> JobSpec | None:
        found = self._store.job(job)
        return found[0] if found else None
