"""Several commands at once, also where the server is full."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from redis import Redis
from redis.client import Pipeline

from disco_rq.errors import RedisFull
from disco_rq.store import unreadable

__all__ = ["together_if_not_full"]


def together_if_not_full(redis: Redis, fill: Callable[[Pipeline], None]) -> list[Any]:
    """The answers to commands that read or delete, of one moment, unless the server is full.

    A Redis that is full refuses a transaction whatever is in it (Valkey 9 does not), and what is deleted
    makes room: so they go one after the other then. As ``unreadable.answers`` tells them.
    """
    try:
        return _answers(redis, fill, transaction=True)
    except RedisFull:
        return _answers(redis, fill, transaction=False)


def _answers(redis: Redis, fill: Callable[[Pipeline], None], *, transaction: bool) -> list[Any]:
    pipe = redis.pipeline(transaction=transaction)
    fill(pipe)
    return unreadable.answers(pipe)
