"""What becomes of jobs that nobody purges, and of nodes that left: the leading master does it in time."""

from __future__ import annotations

import logging
import threading
import time

from redis.exceptions import RedisError

from disco_rq.errors import DiscoError, RedisFull
from disco_rq.packing import Signer
from disco_rq.saving import genuine_parts, settle
from disco_rq.settings import REUSE_MAX
from disco_rq.store.connection import Connection
from disco_rq.store.ending import Ending
from disco_rq.store.identity import cluster_id
from disco_rq.store.jobs import JobStore
from disco_rq.store.nodes import NodeAdmin
from disco_rq.store.unreadable import UNREADABLE, read

__all__ = ["Retention"]

log = logging.getLogger("disco_rq.retention")

OLD_JOBS_EVERY_S = 30.0
"""How often is looked for old jobs."""


class Retention:
    """Purges ended jobs after their ``gc_after``, or the cluster's; their saved results stay.

    Forgets the rest of jobs that were forgotten by half, and nodes a day after they said good-bye.

    In a thread, since what holds the saved results may be slow.
    """

    def __init__(
        self,
        connection: Connection,
        gc_after_s: float | None,
        secret: bytes | None = None,
        reuse_max: int = REUSE_MAX,
    ) -> None:
        """``reuse_max``: of so many purged jobs the files stay for jobs that have adopted outputs of them."""
        self._connection = connection
        self._secret = secret
        self._store = JobStore(connection)
        self._ending = Ending(connection)
        self._gc_after_s = gc_after_s
        self._reuse_max = reuse_max
        self._thread: threading.Thread | None = None
        self._looked_at = -OLD_JOBS_EVERY_S

    def look(self) -> None:
        """Begin when it is time, and the last time is through."""
        busy = self._thread is not None and self._thread.is_alive()
        if not busy and time.monotonic() - self._looked_at >= OLD_JOBS_EVERY_S:
            self._looked_at = time.monotonic()
            self._thread = threading.Thread(target=self._purge_old, name="retention", daemon=True)
            self._thread.start()

    def _purge_old(self) -> None:
        try:
            for name in self._ending.half_forgotten():
                self._ending.forget(name)
            for name in self._ending.overdue(self._gc_after_s):
                read("the results of", name, self._purge)
            for name in self._ending.let_go(self._reuse_max):
                log.info("%s is purged: others may need its files, but there are many such jobs", name)
            for node in NodeAdmin(self._connection).forget_left():
                log.info("node %s left a day ago, and is forgotten", node, extra={"action": "forget"})
        except (DiscoError, RedisError, OSError, *UNREADABLE) as error:  # the next time is soon
            log.warning(
                "old jobs are not purged, or nodes that left not forgotten: %s",
                error,
                extra={"action": "purge"},
            )

    def _signer(self) -> Signer:
        return Signer(self._secret, cluster_id(self._connection) if self._secret else "")

    def _purge(self, name: str) -> None:
        try:
            if self._store.statuses([name]) == ["ready"]:
                outputs = self._store.outputs_of_tasks(name)
                settle(genuine_parts(name, outputs, lambda: self._store.signed_spec(name, self._signer())))
        except (DiscoError, OSError) as error:
            log.warning("%s is old, but kept: %s", name, error, extra={"action": "purge", "job": name})
            return
        try:
            self._ending.purge(name)
        except RedisFull as error:  # another one may make room
            log.warning("%s is old: %s", name, error, extra={"action": "purge", "job": name})
            return
        log.info("%s was old, and is purged", name, extra={"action": "purge", "job": name})
