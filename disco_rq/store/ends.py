"""The ends of jobs that are to be told: each becomes one RQ job, in the queue that the job has named.

What ends a job notes it in the same transition. Here the note goes and the RQ job comes, in one transaction:
whoever dies, and however many masters there are, it is put there once.
"""

from __future__ import annotations

import json
import logging
import time
from typing import Any

from redis.client import Pipeline
from redis.exceptions import ResponseError

from disco_rq.errors import BadSignature
from disco_rq.packing import Signer
from disco_rq.planning.assignment import rq_name
from disco_rq.store import keys, unreadable
from disco_rq.store.attempts import add_event
from disco_rq.store.connection import Connection
from disco_rq.store.deaths import cause_of
from disco_rq.store.identity import cluster_id
from disco_rq.store.queues import Call, put_call

__all__ = ["WEBHOOK", "WEBHOOK_QUEUE", "Ends", "end_id", "packed_call"]

log = logging.getLogger("disco_rq.master")

WEBHOOK = "disco_rq.webhook"
WEBHOOK_QUEUE = "disco-webhooks"
WEBHOOK_TIMEOUT_S = 900
"""Longer than all its tries take."""
WEBHOOK_RETRIES = 3
REFUSED_AGAIN_S = 30.0
"""How often is tried what Redis refuses, to a user who may not fill that queue."""


def packed_call(on_end: Any) -> bytes:
    """``on_end`` of a job as its record keeps it."""
    return json.dumps(on_end).encode()


def end_id(job: str) -> str:
    """The id of the RQ job that tells the end of a job."""
    return f"{rq_name(job)}_ended"


class Ends:
    """Works off what is noted."""

    def __init__(self, connection: Connection, secret: bytes | None) -> None:
        self._connection = connection
        self._redis = connection.redis
        self._secret = secret
        self._not_before: dict[str, float] = {}  # jobs of which Redis refused it -> when it is tried again

    def work_off(self) -> None:
        """Put all that is noted into its queues. Does nothing, in one round trip, if there is nothing."""
        found: Any = unreadable.answer(lambda: self._redis.hkeys(keys.ENDS)) or []
        now = time.monotonic()
        for job in unreadable.names("ended job", found):
            if self._not_before.get(job, now) <= now:
                self._tell(job)

    def _tell(self, job: str) -> None:
        about = {"action": "on_end", "job": job}
        try:
            queue = self._move(job)
        except ResponseError as error:
            self._not_before[job] = time.monotonic() + REFUSED_AGAIN_S
            log.error("the end of %s cannot be told now: %s", job, error, extra=about)
            return
        self._not_before.pop(job, None)
        if queue:
            log.info("the end of %s is in queue %s", job, queue, extra=about)
            add_event(self._connection, job, "master", f"on_end: RQ job {end_id(job)} is in queue {queue}")

    def _move(self, job: str) -> str:
        """In one transaction the note goes, and its call is in the queue that is returned. Empty: there is no
        such note any more, or none that makes sense.
        """
        call: Call | None = None

        def change(pipe: Pipeline) -> None:
            nonlocal call
            noted: Any = pipe.hget(keys.ENDS, job)
            call = None if noted is None else self._call_of(job, noted)
            pipe.multi()
            pipe.hdel(keys.ENDS, job)
            if call is not None:
                put_call(self._redis, pipe, call, end_id(job))

        self._redis.transaction(change, keys.ENDS)  # again, if another master was at it meanwhile
        return call.queue if call is not None else ""

    def _call_of(self, job: str, noted: bytes) -> Call | None:
        """None: it makes no sense, or its client has not signed it."""
        try:
            return _call(
                job, noted, Signer(self._secret, cluster_id(self._connection) if self._secret else "")
            )
        except (BadSignature, *unreadable.UNREADABLE) as error:
            unreadable.leave_out("on_end of", job, error)
            return None


def _call(job: str, noted: bytes, signer: Signer) -> Call:
    told = json.loads(noted)
    on_end = json.loads(signer.seal(job).opened_end(told["on_end"].encode()))
    ending = {"job": job, "status": told["status"], "cause": cause_of(told)}
    if isinstance(on_end, str):
        arguments = (ending, on_end)
        return Call(WEBHOOK, WEBHOOK_QUEUE, arguments, WEBHOOK_TIMEOUT_S, WEBHOOK_RETRIES)
    function, queue = map(str, on_end)
    return Call(function, queue, (ending,))
