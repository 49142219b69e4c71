"""Sockets that listen where a setting says."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

from disco_rq.errors import SettingsError
from disco_rq.settings import PREFIX

BACKLOG = 1024


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
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def told_address(listener: socket.socket) -> str:
    """``host:port`` as others connect to it: with this host's name if it listens everywhere."""
    host, port = listener.getsockname()[:2]
    address = ipaddress.ip_address(host)
    if address.is_unspecified:
        return f"{socket.gethostname()}:{port}"
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


def is_loopback(listener: socket.socket) -> bool:
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback
