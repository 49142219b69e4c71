"""The door of a server: how many strangers may stand in it, and which of them has to go.

A *stranger* is a connection that has not yet shown what opens the server. Who waits is never refused: the one
that has stood there longest makes room, of the address that has sent most. So a reader of the cluster, whose
token comes with its first bytes, is let in however many others say nothing.
"""

from __future__ import annotations

import ipaddress
import resource
from collections.abc import Callable
from typing import Protocol

__all__ = ["Door", "raise_file_limit"]

MOST_FILES = 65_536
"""Open files of a server, where the hard limit of the machine allows it."""
FILES_BESIDE = 64
"""What a server has open beside its connections: its libraries, its log, its Redis."""
STRANGERS = 1_024
STRANGERS_PER_ADDRESS = 256
ALL_AT_ONCE_S = 0.1
"""What comes this fast is looked at together: whose first bytes are there already is no stranger by then."""


class Guest(Protocol):
    """A connection, as the door knows it."""

    address: str

    def turn_out(self) -> None:
        """End it at once."""


def raise_file_limit() -> int:
    """Let this process have as many open files as it may; how many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return MOST_FILES if soft == resource.RLIM_INFINITY else soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


class Door:
    """Who is in a server. For one thread."""

    def __init__(self, files: int, later: Callable[[float, Callable[[], None]], object]) -> None:
        """``files``: how many the process may have open. ``later(seconds, call)``: of its event loop."""
        self.most_strangers = min(STRANGERS, files // 4)
        self.most_per_address = min(STRANGERS_PER_ADDRESS, files // 8)
        # A guest that is being answered has a file open beside its connection.
        self.most_known = max((files - self.most_strangers - FILES_BESIDE) // 2, 1)
        self._later = later
        self._strangers: dict[str, dict[Guest, None]] = {}  # by address; of each the oldest first
        self._known: set[Guest] = set()
        self._looking = False

    @property
    def strangers(self) -> int:
        return sum(map(len, self._strangers.values()))

    def enter(self, guest: Guest) -> None:
        """A connection has come, from whom is not known."""
        crowd = self._strangers.setdefault(_place(guest.address), {})
        crowd[guest] = None
        if not self._looking and (len(crowd) > self.most_per_address or self.strangers > self.most_strangers):
            self._looking = True
            self._later(ALL_AT_ONCE_S, self.make_room)

    def welcome(self, guest: Guest) -> bool:
        """It has shown what opens the server: no stranger can push it out. False: too many are in."""
        if guest not in self._known:
            if len(self._known) >= self.most_known:
                return False
            self._forget_stranger(guest)
            self._known.add(guest)
        return True

    def leave(self, guest: Guest) -> None:
        """Its connection has ended. Idempotent."""
        self._forget_stranger(guest)
        self._known.discard(guest)

    def make_room(self) -> None:
        """Turn out strangers until no more of them are there than may be."""
        self._looking = False
        for crowd in list(self._strangers.values()):
            while len(crowd) > self.most_per_address:
                self._turn_out(next(iter(crowd)))
        while self.strangers > self.most_strangers:
            largest = max(self._strangers.values(), key=lambda crowd: len(crowd))
            self._turn_out(next(iter(largest)))

    def _turn_out(self, guest: Guest) -> None:
        self._forget_stranger(guest)
        guest.turn_out()

    def _forget_stranger(self, guest: Guest) -> None:
        place = _place(guest.address)
        crowd = self._strangers.get(place, {})
        crowd.pop(guest, None)
        if not crowd:
            self._strangers.pop(place, None)


def _place(address: str) -> str:
    """From where it came: one customer of IPv6 has 2**64 addresses, which count as one."""
    try:
        told = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if told.version == 4:
        return address
    if told.ipv4_mapped is not None:
        return str(told.ipv4_mapped)
    return str(ipaddress.ip_network((told, 64), strict=False))
