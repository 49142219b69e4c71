"""The master: reads what happened, asks the planner, puts batches into the nodes' queues.

It holds nothing that cannot be read again from Redis: killed at any instruction, another one loads the active
jobs and goes on. One master leads, by a lease; every decision carries its token and is refused once another
one leads.
"""

from __future__ import annotations

import logging
import secrets
import signal
import threading
from typing import TYPE_CHECKING

from disco_rq.errors import ConnectionLost, SettingsError
from disco_rq.machine.tracing import check_installed
from disco_rq.master.retention import Retention
from disco_rq.master.term import Term
from disco_rq.model import RENEW_S
from disco_rq.planning.owners import Portions, portions_of
from disco_rq.settings import Settings
from disco_rq.store.cluster import ClusterStore
from disco_rq.store.connection import Connection
from disco_rq.store.ends import Ends
from disco_rq.store.lead import Lead
from disco_rq.store.queues import Queues
from disco_rq.store.unreadable import REFUSED, UNREADABLE, is_unreadable

if TYPE_CHECKING:
    from disco_rq.master.tracing import JobTraces

log = logging.getLogger("disco_rq.master")


class Master:
    """One master process. ``run`` leads whenever it may, until ``stop``."""

    def __init__(self, connection: Connection, settings: Settings, token: str | None = None) -> None:
        """``token``: of a master that is known to be dead, to go on with its lease; else one of its own."""
        self._settings = settings
        self._portions = portions(settings)
        self._store = ClusterStore(connection)
        self._lead = Lead(connection, token or secrets.token_hex(8))
        self._queues = Queues(connection.redis)
        # A connection of its own: a purge is to make room in a full Redis, not to wait for some.
        self._for_retention = Connection(connection.url)
        self._retention = Retention(
            self._for_retention, settings.gc_after, settings.secret, settings.reuse_max
        )
        self._ends = Ends(connection, settings.secret)
        self._traces = _traces(connection) if settings.otel else None
        self._stop = threading.Event()

    def stop(self) -> None:
        """Ask ``run`` to end; it gives the lead up. Safe in a signal handler."""
        self._stop.set()

    def run(self) -> None:
        """Lead, or stand by, until stopped. ``ConnectionLost`` when Redis is away for too long."""
        while not self._stop.is_set():
            try:
                self._lead_or_wait()
            except REFUSED as error:
                if not is_unreadable(error):
                    raise
                log.error("this master's term ends: %s", error, extra={"action": "aside"})
                self._lead.set_aside()
                self._stop.wait(RENEW_S / 2)
            except UNREADABLE:
                # Left out where it was expected; here it is not, but all masters would end of it in turn.
                log.exception(
                    "this master's term ends: it met what it cannot read", extra={"action": "unreadable"}
                )
                self._stop.wait(RENEW_S / 2)
        self._lead.resign()
        self._for_retention.close()
        if self._traces is not None:
            self._traces.close()

    def _lead_or_wait(self) -> None:
        if self._lead.take(self._settings.http):
            log.info("this master leads", extra={"action": "lead"})
            self._lead.tell_portions(self._settings.shares, self._settings.owner_slots)
            self._term = Term(
                self._store,
                self._lead,
                self._queues,
                self._retention,
                self._ends,
                self._portions,
                None if self._traces is None else self._traces.ended,
            )
            self._term.run(self._stop, self._settings.http)
        else:
            self._stop.wait(RENEW_S / 2)


def _traces(connection: Connection) -> JobTraces:
    check_installed(wanted=True)
    from disco_rq.master.tracing import JobTraces  # of an extra, that only this imports

    return JobTraces(connection)


def portions(settings: Settings) -> Portions:
    """How slots are dealt among owners. ``SettingsError`` names the word that is wrong."""
    try:
        return portions_of(settings.shares, settings.owner_slots)
    except ValueError as error:
        raise SettingsError(str(error)) from None


def run_master(settings: Settings, token: str | None = None) -> None:
    """The program ``disco-rq master``: lead or stand by until SIGTERM or SIGINT."""
    if settings.redis is None:
        raise ConnectionLost("a master needs the address of a Redis: set DISCO_RQ_REDIS or give --redis")
    connection = Connection(settings.redis, waits_for_memory=True)
    connection.check()
    master = Master(connection, settings, token)
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: master.stop())
    try:
        master.run()
    finally:
        connection.close()
