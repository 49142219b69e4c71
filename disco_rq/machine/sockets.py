"""Sockets that listen where a setting says."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

from disco_rq.errors import SettingsError
from disco_rq.settings import PREFIX

BACKLOG = 1024
VANISHED_S = 30
"""A peer that has not answered for so long is gone: by itself the kernel waits for a quarter of an hour, and
for one that owes nothing for ever.
"""


def host_and_port(setting: str, text: str) -> tuple[str, int]:
    """The two parts of ``HOST:PORT``. Raises ``SettingsError`` naming the setting."""
    try:
        parts = urlsplit(f"//{text}")
        if parts.hostname and parts.port is not None and parts.netloc == text and "@" not in text:
            return parts.hostname, parts.port
    except ValueError:  # a port that is no number
        pass
    raise SettingsError(
        f"{PREFIX}{setting}={text!r}: it takes HOST:PORT, such as 0.0.0.0:8990; port 0 is any"
    )


def listen(host: str, port: int) -> socket.socket:
    """Raises ``OSError`` when the address cannot be had."""
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _give_up_on_vanished(listener)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _give_up_on_vanished(listener: socket.socket) -> None:
    """What it accepts inherits this (the times on Linux only)."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    times = {"TCP_KEEPIDLE": VANISHED_S // 2, "TCP_KEEPINTVL": VANISHED_S // 6, "TCP_KEEPCNT": 3}
    for name, seconds in (times | {"TCP_USER_TIMEOUT": VANISHED_S * 1000}).items():
        if hasattr(socket, name):
            listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), seconds)


def told_address(listener: socket.socket) -> str:
    """``host:port`` as others connect to it: with this host's name if it listens everywhere."""
    host, port = listener.getsockname()[:2]
    address = ipaddress.ip_address(host)
    if address.is_unspecified:
        return f"{socket.gethostname()}:{port}"
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


def is_loopback(listener: socket.socket) -> bool:
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback
