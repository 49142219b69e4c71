"""The ends of jobs told by a cluster that has nobody else for it: an embedded one tells its webhooks itself.

It looks whether there is any, which costs a round trip, and only then is there a process that tells them.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any

from redis.exceptions import RedisError
from rq import Queue, SimpleWorker, Worker
from rq.registry import StartedJobRegistry

from disco_rq.errors import DiscoError
from disco_rq.settings import WEBHOOK_SECRET, WebhookSettings
from disco_rq.store import keys
from disco_rq.store.clients import open_client
from disco_rq.store.connection import Connection
from disco_rq.store.ends import WEBHOOK_QUEUE
from disco_rq.store.nodes import is_suspended

__all__ = ["Postman"]

log = logging.getLogger("disco_rq.webhook")


class Postman:
    """Has the queue ``disco-webhooks`` of a cluster worked off, whenever there is something in it."""

    def __init__(
        self, url: str, settings: WebhookSettings, start: Callable[[Callable[[], None]], Callable[[], bool]]
    ) -> None:
        """``start`` calls a function in a process of its own, and returns whether that is still there."""
        self._url = url
        self._settings = settings
        self._start = start
        self._redis = Connection(url, patience_s=1.0).redis
        self._queue = Queue(WEBHOOK_QUEUE, connection=self._redis)
        self._under_way = StartedJobRegistry(queue=self._queue)
        self._is_out: Callable[[], bool] = lambda: False
        self.untold = 0
        """Ends that were not told yet, when it looked last."""

    def look(self) -> None:
        """Send somebody if there is something to be told and nobody is out."""
        try:
            # In the order in which an end goes from one to the next: else it could be missed on its way.
            noted: Any = self._redis.hlen(keys.ENDS)
            waiting, under_way = self._queue.count, self._under_way.get_job_count(cleanup=False)
            is_out = self._is_out()
            if not is_out:
                if under_way:  # of one that died with it: it waits again when its time is over
                    self._under_way.cleanup()
                if waiting and not self._is_taken_care_of():
                    self._is_out = self._start(self._deliver)
            self.untold = max(int(noted) + waiting + under_way, int(is_out))
        except (DiscoError, RedisError, OSError) as error:
            log.debug("no look at %s: %s", WEBHOOK_QUEUE, error, extra={"action": "webhook"})

    def _is_taken_care_of(self) -> bool:
        """Whether a worker of the user's works it off, or none is to."""
        return bool(Worker.all(queue=self._queue)) or is_suspended(self._redis)

    def _deliver(self) -> None:
        """Tell what there is, one after the other. In a process of its own."""
        logging.getLogger("rq").setLevel(logging.CRITICAL)  # what is wrong is said below, in a line
        if self._settings.secret is not None:
            os.environb[WEBHOOK_SECRET.encode()] = self._settings.secret
        connection = open_client(self._url)
        worker = SimpleWorker(
            [Queue(WEBHOOK_QUEUE, connection=connection)],
            connection=connection,
            exception_handlers=[_told],
        )
        worker.work(burst=True, logging_level="CRITICAL")


def _told(*failure: Any) -> bool:
    """Of an RQ job, the exception and its traceback: one line. No handler of RQ's comes after it."""
    log.error("%s", failure[2], extra={"action": "webhook"})
    return False
