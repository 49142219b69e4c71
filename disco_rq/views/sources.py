"""What the endpoints read from."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import NamedTuple

from disco_rq import Disco
from disco_rq.outputs.locator import Locator
from disco_rq.packing import fingerprints
from disco_rq.store.browsing import BrowseStore
from disco_rq.store.connection import Connection
from disco_rq.store.jobs import JobStore
from disco_rq.store.nodes import node_about
from disco_rq.store.tasktable import TaskStore, TaskTable
from disco_rq.store.viewing import ViewStore
from disco_rq.views.load import LoadHistory
from disco_rq.views.problem import Problem

__all__ = ["Sources", "TableRead", "Tables"]

VISITOR_PATIENCE_S = 2.0
"""For how long a visitor waits for a Redis that is away."""


class TableRead(NamedTuple):
    """A task table, and how long ago it was read."""

    table: TaskTable
    age_ms: int


class Tables:
    """The task tables that were asked for last: who sorts and pages a big job reads it once."""

    MOST_ROWS = 600_000
    """Of all that are held; each takes some 400 bytes."""
    FRESH_S = 3.0

    def __init__(self, tasks: TaskStore) -> None:
        self._tasks = tasks
        self._lock = threading.Lock()
        self._read: OrderedDict[tuple[str, bool], tuple[float, TaskTable]] = OrderedDict()

    def of(self, job: str, *, over: bool) -> TableRead:
        """All tasks of a job, as they were a few seconds ago at most; of one that is ``over`` as its end has
        left them. ``Problem``: there are too many.
        """
        which = job, over
        with self._lock:  # also so that ten visitors do not read the same at once
            now = time.monotonic()
            self._read = OrderedDict(
                (key, entry) for key, entry in self._read.items() if now - entry[0] < self.FRESH_S
            )
            if which not in self._read:
                size = self._tasks.size(job)
                if size > self.MOST_ROWS:
                    raise Problem("refused", f"its {size:,} tasks and attempts are too many for this view")
                while self._read and size + sum(map(_rows, self._read.values())) > self.MOST_ROWS:
                    self._read.popitem(last=False)
                at = time.monotonic()
                self._read[which] = (at, self._tasks.table(job))
            at, table = self._read[which]
            return TableRead(table, int((time.monotonic() - at) * 1000))


def _rows(read: tuple[float, TaskTable]) -> int:
    return len(read[1].tasks) + len(read[1].attempts)


@dataclass(frozen=True, slots=True)
class Sources:
    """The stores, and the client for what it can do already."""

    connection: Connection
    view: ViewStore
    tasks: TaskStore
    tables: Tables
    browse: BrowseStore
    jobs: JobStore
    disco: Disco
    locator: Locator  # of the nodes' files
    secret: Sequence[str]  # fingerprints of its keys
    load: LoadHistory = field(default_factory=LoadHistory)

    @classmethod
    def open(cls, url: str, secret: bytes | None) -> Sources:
        """Open both connections. Raises what ``Disco`` raises, and then leaves none open."""
        with ExitStack() as undo:
            connection = Connection(url, patience_s=VISITOR_PATIENCE_S)
            undo.callback(connection.close)
            disco = Disco(url)
            disco.session.use_secret(secret)
            undo.pop_all()
        tasks = TaskStore(connection)
        return cls(
            connection=connection,
            view=ViewStore(connection),
            tasks=tasks,
            tables=Tables(tasks),
            browse=BrowseStore(connection),
            jobs=JobStore(connection),
            disco=disco,
            locator=Locator(lambda node: node_about(connection, node), secret=secret),
            secret=fingerprints(secret),
        )

    def close(self) -> None:
        """Close both connections."""
        self.disco.close()
        self.connection.close()
