"""Lists and streams of Redis as inputs of a local job: of the server that DISCO_RQ_REDIS names, as on a
cluster; without it, of the one that the address says.
"""

from __future__ import annotations

from disco_rq.inputs.rediskeys import place_of
from disco_rq.settings import Settings
from disco_rq.store.connection import Connection
from disco_rq.store.givenkeys import GivenKeys

__all__ = ["LocalKeys"]


class LocalKeys:
    """The connections of one run, made when they are needed."""

    def __init__(self) -> None:
        self._opened: dict[str, Connection] = {}

    def at(self, address: str) -> GivenKeys:
        """The server that an address names. ``ValueError``; ``ConnectionLost``."""
        place, own = place_of(address), Settings.from_env().redis
        if own is None and not place:
            raise ValueError("it is on the server that DISCO_RQ_REDIS names, and that is not set")
        if place not in self._opened:  # tasks have the address without its login
            scheme, _, rest = address.partition("://")
            connection = Connection(own or f"{scheme}://{rest.partition('/')[0]}/0")
            connection.check()
            self._opened[place] = connection
        keys = GivenKeys(self._opened[place])
        if own is not None:
            keys.check_own(place)
        return keys

    def close(self) -> None:
        """Idempotent."""
        for connection in self._opened.values():
            connection.close()
