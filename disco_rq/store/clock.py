"""The clock that all agree on: the Redis server's. It may be stepped; a failover is to another one.

A time in Redis that lies further ahead than whoever wrote it can have meant is no promise: it is taken back.
"""

from __future__ import annotations

import time
from typing import Any

from disco_rq.store.connection import Connection

__all__ = ["local_ahead_ms", "ms_of", "server_ms"]


def server_ms(connection: Connection) -> int:
    """Milliseconds since 1970, now."""
    return ms_of(connection.redis.time())


def ms_of(answer: Any) -> int:
    """The same, of what TIME answered in a pipeline."""
    seconds, micros = answer
    return int(seconds) * 1000 + int(micros) // 1000


def local_ahead_ms(connection: Connection) -> int:
    """How far this machine's clock is ahead of it."""
    began = time.time()
    told_ms = server_ms(connection)
    return round((began + time.time()) / 2 * 1000 - told_ms)
