"""Files of jobs that Redis has forgotten, by FLUSHDB or a start without its data: nobody would delete them.

A job that was cleaned has a mark: its files stay. One that is purged is deleted by who was asked to. The
others are found here, told, and deleted when they were found for as long as the settings say: until then
Redis may get its data back.
"""

from __future__ import annotations

import logging
import math
import shutil
import threading
import time

from redis.exceptions import RedisError

from disco_rq.errors import DiscoError
from disco_rq.outputs.datadir import DataDir
from disco_rq.store.nodes import NodeStore
from disco_rq.store.unreadable import UNREADABLE

__all__ = ["Sweep"]

log = logging.getLogger("disco_rq.node")

LOOK_S = 3600.0
LOOKS = 4
"""At least so many looks find a job unknown before its files go."""
MOST_TOLD = 5


class Sweep:
    """Of one node. Looks in a thread of its own: a disk may be slow."""

    def __init__(self, store: NodeStore, data: DataDir, after_s: float) -> None:
        """``after_s``: for so long files stay of a job that Redis does not know."""
        self._store = store
        self._data = data
        self._every_s = min(LOOK_S, after_s / LOOKS)
        self._looks = max(math.ceil(after_s / self._every_s), 1) if self._every_s else 1
        self._looked_at = time.monotonic()  # what has only just come up has not heard of Redis' troubles
        self._thread: threading.Thread | None = None
        self._told: set[str] = set()

    def look_in_time(self) -> None:
        """Begin a look when it is time, and the last one is through."""
        is_busy = self._thread is not None and self._thread.is_alive()
        if not is_busy and time.monotonic() - self._looked_at >= self._every_s:
            self._looked_at = time.monotonic()
            self._thread = threading.Thread(target=self._look_and_tell, name="sweep", daemon=True)
            self._thread.start()

    def _look_and_tell(self) -> None:
        try:
            self.look()
        except (DiscoError, RedisError, OSError, *UNREADABLE) as error:  # the next time is soon
            log.warning("not swept: %s", error, extra={"action": "sweep"})

    def look(self) -> None:
        """Delete what has been unknown for long enough; tell of the rest, here and in the node's record."""
        jobs = self._data.jobs()
        unknown = self._store.unknown_jobs(jobs)
        waiting: dict[str, int] = {}  # looks until it goes
        for job in jobs:
            marks = self._data.marks(job)
            if job not in unknown:
                marks.found_known()
            elif not marks.is_kept():
                waiting[job] = self._looks - marks.found_unknown()
        due = [job for job, looks in waiting.items() if looks <= 0]
        for job in due:
            shutil.rmtree(self._data.job(job), ignore_errors=True)
            log.warning(
                "%s: Redis has not known this job for long, and nobody cleaned it: its files are deleted",
                job,
                extra={"action": "sweep", "job": job},
            )
            del waiting[job]
        first_s = min(waiting.values(), default=0) * self._every_s
        self._store.tell_unknown(len(waiting), first_s)
        self._tell(waiting, first_s)

    def _tell(self, waiting: dict[str, int], first_s: float) -> None:
        new = sorted(waiting.keys() - self._told)
        self._told = set(waiting)
        if new:
            more = f" and {len(new) - MOST_TOLD} more" if len(new) > MOST_TOLD else ""
            log.warning(
                "Redis does not know %s%s, of which there are files in %s: they are deleted in %.1f h, "
                "unless it does by then",
                " ".join(new[:MOST_TOLD]),
                more,
                self._data.root,
                first_s / 3600,
                extra={"action": "sweep"},
            )
