"""The HTTP server under the data server of a node and the page: uvicorn, that waits for nobody for ever.

A request has to come within some seconds, a body within a minute, and who is being answered has to read. How
many may be connected that have not shown a token is the ``door``'s matter. An application tells with
``welcome`` that a request has shown what opens it.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from functools import partial
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp, Scope
from uvicorn.protocols.http.h11_impl import H11Protocol

from disco_rq.machine.door import Door, raise_file_limit

__all__ = ["HttpServer", "welcome"]

HEADERS_S = 10.0
"""A connection that has not sent a request, all its headers, for so long is ended."""
BODY_S = 60.0
"""So is one whose request has not come whole by then."""
STALLED_S = 30.0
"""So is one that has taken less than the 48 KiB in between of its answer: who reads on comes back for it."""
BACKLOG = 1024

_WELCOME = "welcome"
_DROP = struct.pack("ii", 1, 0)


def welcome(scope: Scope) -> bool:
    """The request has shown what opens the application. False: as many are in as may be, answer 503."""
    let_in = scope.get("state", {}).get(_WELCOME)
    return let_in is None or bool(let_in())  # None: another server, such as a test's


class HttpServer(uvicorn.Server):
    """Serves an application on a socket that listens."""

    def __init__(self, app: ASGIApp, *, farewell_s: int, lifespan: str = "auto") -> None:
        """``farewell_s``: for how long a server that is asked to end goes on with what it is sending."""
        files = raise_file_limit()
        self.door = Door(files, lambda seconds, call: asyncio.get_running_loop().call_later(seconds, call))
        config = uvicorn.Config(
            app,
            loop="asyncio",
            http=partial(_Connection, self.door),  # type: ignore[arg-type]  # called as the class is
            ws="none",
            lifespan=lifespan,  # type: ignore[arg-type]  # one of its words
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=min(BACKLOG, files // 8),
            timeout_graceful_shutdown=farewell_s,
        )
        super().__init__(config)

    def serve_on(self, listener: socket.socket) -> None:
        """Serve until it is asked to end, by ``should_exit`` or a signal."""
        self.run([listener])

    async def on_tick(self, counter: int) -> bool:
        if counter % 10 == 0:  # it is called ten times a second
            now = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                if isinstance(connection, _Connection):
                    connection.check(now)
        return await super().on_tick(counter)


class _Connection(H11Protocol):
    """A connection that is ended when it keeps us waiting."""

    def __init__(self, door: Door, *, app_state: dict[str, Any], **more: Any) -> None:
        super().__init__(app_state={**app_state, _WELCOME: lambda: door.welcome(self)}, **more)
        self.address = ""
        self._door = door
        self._awaited: Any = None  # what we wait for: a request, its body
        self._since = 0.0
        self._stalled_since: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.address = self.client[0] if self.client else ""
        self._await()
        self._door.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._door.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._await()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._await()

    def resume_writing(self) -> None:
        self._stalled_since = None
        super().resume_writing()

    def turn_out(self) -> None:
        """End it at once: what it has not read is dropped, by the kernel too."""
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DROP)
        self.transport.abort()

    def check(self, now: float) -> None:
        """End it if it keeps us waiting for too long."""
        if self.transport.get_write_buffer_size() == 0:
            self._stalled_since = None
        elif self._stalled_since is None:
            self._stalled_since = now
        patience_s = {h11.IDLE: HEADERS_S, h11.SEND_BODY: BODY_S}.get(self._awaited)
        too_late = patience_s is not None and now - self._since > patience_s
        stalled = self._stalled_since is not None and now - self._stalled_since > STALLED_S
        if too_late or stalled:
            self.turn_out()

    def _await(self) -> None:
        state = self.conn.their_state
        if state is not self._awaited:
            self._awaited, self._since = state, self.loop.time()
