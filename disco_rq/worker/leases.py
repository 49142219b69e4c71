"""The thread of a worker that says, every two seconds, that the worker and its attempts are alive."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from redis.exceptions import RedisError

from disco_rq.errors import DiscoError
from disco_rq.machine.load import disk_room, node_load
from disco_rq.machine.packages import installed
from disco_rq.model import RENEW_S, TaskId
from disco_rq.outputs.datadir import DataDir
from disco_rq.store.attempts import AttemptStore
from disco_rq.store.connection import Connection
from disco_rq.store.identity import tell_cluster
from disco_rq.store.nodes import NodeStore
from disco_rq.store.unreadable import UNREADABLE, is_unreadable
from disco_rq.worker.horse import Progress
from disco_rq.worker.purging import purge_asked

log = logging.getLogger("disco_rq.leases")

REPORT_S = 10.0
"""How often the node's memory and disk are told."""
TIMEOUT_GRACE_S = 3.0
"""A task that runs on for so long after its time limit, whatever it was told, is ended with its process."""


class LeaseKeeper(threading.Thread):
    """Renews the slot and the attempts under way, and deletes the files of purged jobs.

    Ends the horse when its task is not ours any more. Lives and dies with its process, so a worker that is
    stopped or dead is missed.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        node: str,
        worker: str,
        data: DataDir,
        min_free: int | None,
        end_horse: Callable[[], None],
        about: Callable[[], Mapping[str, str]],
    ) -> None:
        """``about``: what the node tells of itself, from its first renewal on."""
        super().__init__(name="leases", daemon=True)
        self._connection = connection
        self._nodes = NodeStore(connection, node)
        self._store = AttemptStore(connection)
        self._node = node
        self._worker = worker
        self._data = data
        self._min_free = min_free
        self._was_full = False
        self._end_horse = end_horse
        self._about = about
        self._lock = threading.Lock()
        self._job = ""
        self._tasks: Sequence[tuple[TaskId, int]] = ()
        self._progress = Progress()
        self._suspect: TaskId | None = None
        self._ended = threading.Event()
        self._report_at = 0.0
        self._installed: dict[str, str] = {}

    def watch(self, job: str, tasks: Sequence[tuple[TaskId, int]], progress: Progress) -> None:
        """From now on renew these attempts; ``progress`` knows the one that runs."""
        with self._lock:
            self._job, self._tasks, self._progress, self._suspect = job, tasks, progress, None

    def unwatch(self) -> None:
        """The batch is over."""
        with self._lock:
            self._job, self._tasks = "", ()

    def stop(self) -> None:
        self._ended.set()

    def run(self) -> None:
        """Renew and purge until stopped. Redis being away is waited out: the leases tell the others what to
        think.
        """
        while not self._ended.is_set():
            try:
                self._renew()
                self._tell_again()
                self._tell_cluster()
                self._look_at_disk()
                self._report()
                self._purge()
            except (DiscoError, RedisError, OSError, *UNREADABLE) as error:
                log.warning("leases of %s not renewed: %s", self._worker, error, extra={"action": "renew"})
                self._set_aside(error)
                self._ended.wait(RENEW_S / 2)

    def _set_aside(self, error: Exception) -> None:
        """What keeps a node from telling of itself, a key of another type, goes out of the way."""
        if is_unreadable(error):
            with suppress(DiscoError, RedisError):
                self._nodes.set_aside()

    def _tell_again(self) -> None:
        """A Redis that was emptied hears all again that it was told once."""
        if self._nodes.tell_again(self._about()):
            log.warning("Redis had forgotten node %s: told again", self._node, extra={"action": "register"})
            self._report_at = 0.0

    def _renew(self) -> None:
        with self._lock:
            job, tasks = self._job, self._tasks
        lost = self._store.renew(self._node, self._worker, job, tasks)
        with self._lock:
            if job != self._job or tasks is not self._tasks or not tasks or self._progress.is_sending:
                return
            current = tasks[self._progress.index][0]
            # Twice in a row: the horse may just have reported this very task as failed and be on its way to
            # the next.
            overtaken = current in lost and self._suspect == current
            self._suspect = current if current in lost else None
            overdue = self._progress.overdue_s > TIMEOUT_GRACE_S
        if overdue:
            log.warning("%s %s does not end at its time limit", job, current, extra={"action": "overdue"})
            self._end_horse()
        if overtaken:
            log.warning("%s %s is not ours any more", job, current, extra={"action": "overtaken", "job": job})
            self._end_horse()

    def _tell_cluster(self) -> None:
        """Again, if Redis has forgotten it: a client would make up another one."""
        if word := self._data.cluster():
            tell_cluster(self._connection, word)

    def _look_at_disk(self) -> None:
        """A node without room takes no tasks. Told when it changes, and now and then: others tell it too."""
        why = self._why_no_tasks()
        if bool(why) == self._was_full and time.monotonic() < self._report_at:
            return
        self._was_full = bool(why)
        if why and self._nodes.close("disk", why):
            log.warning("no tasks here: %s", why, extra={"action": "disk"})
        if not why and self._nodes.open("disk"):
            log.warning("tasks again: there is room in %s", self._data.root, extra={"action": "disk"})

    def _why_no_tasks(self) -> str:
        try:
            free, least = disk_room(self._data.root, self._min_free)
        except FileNotFoundError:  # with a new one it would be another node: see what its start makes sure of
            return f"its data directory {self._data.root} is gone: start it again"
        return f"less than {least >> 20} MiB of its disk is free" if free < least else ""

    def _report(self) -> None:
        if time.monotonic() >= self._report_at:
            self._report_at = time.monotonic() + REPORT_S
            with suppress(FileNotFoundError):  # which is told already
                self._nodes.report(node_load(self._data.root))
            # Also what was installed while it runs, and when Redis was emptied.
            if (found := installed()) != self._installed or not self._nodes.has_told_packages():
                self._nodes.tell_packages(found)
                self._installed = found

    def _purge(self) -> None:
        """Until the next renewal: delete what is purged."""
        deadline = time.monotonic() + RENEW_S
        while not self._ended.is_set():
            purge_asked(self._nodes, self._data, self._renew)
            if not self._nodes.wait_purge(deadline - time.monotonic()):
                return
