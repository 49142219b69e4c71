"""The socket on which a node serves its files, and the address that it tells the others."""

from __future__ import annotations

import logging
from urllib.parse import urlsplit

from disco_rq.errors import SettingsError
from disco_rq.machine.sockets import host_and_port, is_loopback, listen, told_address
from disco_rq.settings import PREFIX, Settings

__all__ = ["DataPort"]

log = logging.getLogger("disco_rq.dataport")


class DataPort:
    """A socket that listens at ``settings.data_http``; ``url`` is how others reach it.

    The node's supervisor holds it: a data server that is started again takes over the same one, and who
    connects in between is not refused.
    """

    def __init__(self, settings: Settings) -> None:
        """Raises ``SettingsError`` naming the setting that is wrong, or the address that cannot be had."""
        host, port = host_and_port("DATA_HTTP", settings.data_http)
        self._advertised = _checked(settings.data_url)
        try:
            self.listener = listen(host, port)
        except OSError as error:
            raise SettingsError(
                f"{PREFIX}DATA_HTTP={settings.data_http!r}: cannot listen there: {error.strerror or error}"
            ) from None
        if settings.secret is None and not is_loopback(self.listener):
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
        return f"http://{told_address(self.listener)}"

    def close(self) -> None:
        self.listener.close()


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
