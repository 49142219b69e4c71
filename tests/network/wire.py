"""The wire between hosts: carries their packets, late, not all of them, or none, as it is told.

A TUN device a host, whose packets a thread hands on: so it needs no more of the kernel than those, while the
delays and losses of ``tc netem`` are not built into every one.
"""

from __future__ import annotations

import contextlib
import fcntl
import heapq
import os
import random
import selectors
import socket
import struct
import threading
import time
from collections import Counter
from itertools import count

TUN = "/dev/net/tun"
_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_PACKET_BYTES = 65536
_AT_A_TIME = 64


def open_tun(device: str) -> int:
    """Make a TUN device; it lives until the file is closed. Raises ``OSError`` where that is not allowed."""
    fd = os.open(TUN, os.O_RDWR | os.O_NONBLOCK)
    try:
        fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", device.encode(), _IFF_TUN | _IFF_NO_PI))
    except BaseException:
        os.close(fd)
        raise
    return fd


class Wire:
    """Hosts are known by their names. What is set holds for the packets that come from then on."""

    def __init__(self, seed: int = 0) -> None:
        self.delay_s = 0.0
        """One way."""
        self.loss = 0.0
        """Of this share of the packets nobody hears again."""
        self.carried: Counter[tuple[str, str]] = Counter()
        """(From, to) -> bytes."""
        self._cut: set[frozenset[str]] = set()
        self._hosts: dict[int, str] = {}  # by the file of their device
        self._files: dict[bytes, int] = {}  # by their address
        self._chance = random.Random(seed)
        self._late: list[tuple[float, int, int, bytes]] = []
        self._numbers = count()
        self._selector = selectors.DefaultSelector()
        self._wake, self._wake_end = socket.socketpair()
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._carry, name="wire", daemon=True)

    def plug(self, host: str, address: str, fd: int) -> None:
        """A host with that address is at the other end of the TUN device, which is ours from now on."""
        self._hosts[fd] = host
        self._files[socket.inet_aton(address)] = fd
        self._selector.register(fd, selectors.EVENT_READ)

    def start(self) -> None:
        self._thread.start()

    def cut(self, host: str, *others: str) -> None:
        """No packet between a host and those others, or all, is carried; nobody is told."""
        self._cut = self._cut | self._pairs(host, others)

    def mend(self, host: str, *others: str) -> None:
        """Undo it."""
        self._cut = self._cut - self._pairs(host, others)

    def make_whole(self) -> None:
        """All is carried at once again."""
        self.delay_s, self.loss, self._cut = 0.0, 0.0, set()

    def _pairs(self, host: str, others: tuple[str, ...]) -> set[frozenset[str]]:
        return {frozenset((host, other)) for other in others or self._hosts.values()}

    def close(self) -> None:
        self._wake_end.close()
        if self._thread.is_alive():
            self._thread.join()
        self._selector.close()
        self._wake.close()
        for fd in self._hosts:
            os.close(fd)

    def _carry(self) -> None:
        while True:
            wait_s = max(self._late[0][0] - time.monotonic(), 0.0) if self._late else None
            for key, _ in self._selector.select(wait_s):
                if key.fd == self._wake.fileno():
                    return
                self._take(key.fd)
            while self._late and self._late[0][0] <= time.monotonic():
                _, _, to, packet = heapq.heappop(self._late)
                _hand_over(to, packet)

    def _take(self, fd: int) -> None:
        with contextlib.suppress(OSError):  # there is no more
            for _ in range(_AT_A_TIME):
                packet = os.read(fd, _PACKET_BYTES)
                to = self._files.get(packet[16:20]) if packet[0] >> 4 == 4 else None
                if to is None or self._is_lost(fd, to):
                    continue
                self.carried[self._hosts[fd], self._hosts[to]] += len(packet)
                if self.delay_s:
                    heapq.heappush(
                        self._late, (time.monotonic() + self.delay_s, next(self._numbers), to, packet)
                    )
                else:
                    _hand_over(to, packet)

    def _is_lost(self, fd: int, to: int) -> bool:
        return frozenset((self._hosts[fd], self._hosts[to])) in self._cut or (
            self._chance.random() < self.loss
        )


def _hand_over(to: int, packet: bytes) -> None:
    with contextlib.suppress(OSError):  # its queue is full, or the device is not up: lost, as on any wire
        os.write(to, packet)
