"""Which cluster it is: a random word that nodes tell Redis, and remember on their disks."""

from __future__ import annotations

import secrets
import time
from typing import Any

from disco_rq.model import RENEW_S
from disco_rq.store import keys
from disco_rq.store.connection import Connection

__all__ = ["cluster_id", "tell_cluster"]

PATIENCE_S = RENEW_S + 1.0
"""For how long a client waits for a node to tell it: Redis may have forgotten it just now."""
_PAUSE_S = 0.02


def tell_cluster(connection: Connection, word: str | None) -> str:
    """Tell Redis the cluster's word (None: a new one), if it has none. Returns the one that it has."""
    connection.redis.set(keys.CLUSTER, word or secrets.token_hex(16), nx=True)
    return _told(connection) or ""


def cluster_id(connection: Connection) -> str:
    """The word that a client signs its jobs for. Where no node has told one, the client is the first."""
    deadline = time.monotonic() + PATIENCE_S
    while (word := _told(connection)) is None and time.monotonic() < deadline:
        time.sleep(_PAUSE_S)
    return word or tell_cluster(connection, None)


def _told(connection: Connection) -> str | None:
    word: Any = connection.redis.get(keys.CLUSTER)
    return None if word is None else word.decode(errors="replace")
