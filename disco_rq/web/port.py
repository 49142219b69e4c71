"""The address of the web page."""

from __future__ import annotations

import errno
import socket

from disco_rq.errors import SettingsError
from disco_rq.machine.sockets import host_and_port, is_loopback, listen, told_address
from disco_rq.settings import OFF, PREFIX, Settings

__all__ = ["WebPort"]


class WebPort:
    """A socket that listens at ``settings.http``, unless that is ``off`` or somebody else, such as another
    master of this machine, has the address: then ``problem`` says so, and ``listen`` tries again.
    """

    def __init__(self, settings: Settings) -> None:
        """Raises ``SettingsError`` naming what is wrong; without a secret nothing but loopback is right."""
        self.listener: socket.socket | None = None
        self.problem = ""
        self._text = settings.http
        self._has_secret = settings.secret is not None
        self.is_off = settings.http == OFF
        if not self.is_off:
            self._host, self._port = host_and_port("HTTP", settings.http)
            self.listen()

    def listen(self) -> bool:
        """Take the address if it is free. True: it is ours."""
        try:
            listener = listen(self._host, self._port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                why = error.strerror or error
                raise SettingsError(f"{PREFIX}HTTP={self._text!r}: cannot listen there: {why}") from None
            self.problem = (
                f"the web page is not served here: {self._text} is taken, by another master perhaps; "
                f"{PREFIX}HTTP=HOST:PORT names another address, port 0 is any"
            )
            return False
        if not self._has_secret and not is_loopback(listener):
            listener.close()
            raise SettingsError(
                f"{PREFIX}HTTP={self._text!r}: without {PREFIX}SECRET the page is open to all who reach it, "
                "so it takes loopback only, such as 127.0.0.1:8989; set a secret"
            )
        self.listener, self.problem = listener, ""
        return True

    @property
    def address(self) -> str:
        """``host:port`` of the page; where another master serves it, that one's; empty if there is none."""
        if self.is_off:
            return ""
        return told_address(self.listener) if self.listener is not None else self._text

    @property
    def url(self) -> str:
        """Of the page that is served here; empty if none is."""
        return f"http://{self.address}" if self.listener is not None else ""

    def close(self) -> None:
        """Give it up in this process. Idempotent."""
        if self.listener is not None:
            self.listener.close()
