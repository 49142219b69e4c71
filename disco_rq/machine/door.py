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
LOOK_S = 0.04
LOOKS = 3
"""Nobody is turned out before the door has looked so often: whose first bytes are there is no stranger
by then. Looks, not seconds: a server that is busy takes its time over what has come.
"""


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
        # By address; of each the oldest first, with the number of the look at which it may be turned out.
        self._strangers: dict[str, dict[Guest, int]] = {}
        self._known: set[Guest] = set()
        self._is_looking = False
        self._looks = 0

    @property
    def strangers(self) -> int:
        return sum(map(len, self._strangers.values()))

    def enter(self, guest: Guest) -> None:
        """A connection has come, from whom is not known."""
        crowd = self._strangers.setdefault(_place(guest.address), {})
        crowd[guest] = self._looks + LOOKS
        if not self._is_looking and self._is_crowded():
            self._is_looking = True
            self._later(LOOK_S, self._look)

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

    def _look(self) -> None:
        """Turn out strangers until no more of them are there than may be, or the rest has just come."""
        self._looks += 1
        crowds = list(self._strangers.values())
        for crowd in crowds:
            while len(crowd) > self.most_per_address and self._turn_out_of(crowd):
                pass
        while self.strangers > self.most_strangers and self._turn_out_of(max(crowds, key=len)):
            pass
        self._is_looking = self._is_crowded()
        if self._is_looking:
            self._later(LOOK_S, self._look)

    def _is_crowded(self) -> bool:
        crowds = self._strangers.values()
        return self.strangers > self.most_strangers or any(len(one) > self.most_per_address for one in crowds)

    def _turn_out_of(self, crowd: dict[Guest, int]) -> bool:
        """Its oldest. False: that has come just now."""
        guest, look = next(iter(crowd.items()))
        if look > self._looks:
            return False
        self._forget_stranger(guest)
        guest.turn_out()
        return True

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
