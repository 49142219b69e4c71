"""The clock that all agree on: the Redis server's."""

from __future__ import annotations

from typing import Any

from disco_rq.store.connection import Connection

__all__ = ["ms_of", "server_ms"]


def server_ms(connection: Connection) -> int:
    """Milliseconds since 1970, now."""
    return ms_of(connection.redis.time())


def ms_of(answer: Any) -> int:
    """The same, of what TIME answered in a pipeline."""
    seconds, micros = answer
    return int(seconds) * 1000 + int(micros) // 1000
