"""The socket on which a node serves its files, and the address that it tells the others."""

from __future__ import annotations

import ipaddress
import logging
import socket
from urllib.parse import urlsplit

from disco_rq.errors import SettingsError
from disco_rq.settings import PREFIX, Settings

__all__ = ["DataPort"]

log = logging.getLogger("disco_rq.dataport")

BACKLOG = 1024


class DataPort:
    """A socket that listens at ``settings.data_http``; ``url`` is how others reach it.

    The node's supervisor holds it: a data server that is started again takes over the same one, and who
    connects in between is not refused.
    """

    def __init__(self, settings: Settings) -> None:
        """Raises ``SettingsError`` naming the setting that is wrong, or the address that cannot be had."""
        host, port = _host_and_port(settings.data_http)
        self._advertised = _checked(settings.data_url)
        try:
            self.listener = _listen(host, port)
        except OSError as error:
            raise SettingsError(
                f"{PREFIX}DATA_HTTP={settings.data_http!r}: cannot listen there: {error.strerror or error}"
            ) from None
        bound = self.listener.getsockname()
        self._host, self._port = bound[0], bound[1]
        if settings.secret is None and not ipaddress.ip_address(self._host).is_loopback:
            log.warning(
                "whoever reaches %s can read the data of all jobs: set %sSECRET on clients and nodes",
                self.url,
                PREFIX,
                extra={"action": "listen"},
            )

    @property
    def url(self) -> str:
        """What others connect to: what the settings say, else the host name if it listens everywhere."""
        if self._advertised is not None:
            return self._advertised
        address = ipaddress.ip_address(self._host)
        if address.is_unspecified:
            return f"http://{socket.gethostname()}:{self._port}"
        return (
            f"http://[{address}]:{self._port}" if address.version == 6 else f"http://{address}:{self._port}"
        )

    def close(self) -> None:
        self.listener.close()


def _listen(host: str, port: int) -> socket.socket:
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


def _host_and_port(text: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        if parts.hostname and parts.port is not None and parts.netloc == text and "@" not in text:
            return parts.hostname, parts.port
    except ValueError:  # a port that is no number
        pass
    raise SettingsError(
        f"{PREFIX}DATA_HTTP={text!r}: it takes HOST:PORT, such as 0.0.0.0:8990; port 0 is any"
    )


def _checked(url: str | None) -> str | None:
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and "@" not in url:
            return url.rstrip("/")
    except ValueError:
        pass
    raise SettingsError(f"{PREFIX}DATA_URL={url!r}: it takes http://HOST:PORT, as other nodes can reach it")
