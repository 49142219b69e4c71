"""The process of the page: a child of a master, which gives it the socket and tells it what to serve."""

from __future__ import annotations

import json
import logging
import os
import resource
import socket
import sys
from types import FrameType
from typing import Any

from starlette.applications import Starlette

from disco_rq.errors import DiscoError
from disco_rq.machine.hiding import close_memory
from disco_rq.machine.httpserver import HttpServer
from disco_rq.machine.logs import EMBEDDED, PROGRAM, log_to_stderr
from disco_rq.machine.orphans import die_with_parent
from disco_rq.machine.titles import tell_title
from disco_rq.settings import KEPT, Settings
from disco_rq.web.app import create_app

__all__ = ["main"]

log = logging.getLogger("disco_rq.web")

MEMORY_BYTES = 1 << 30
"""What it may hold: a request that would need more fails, and no other program of the machine with it."""
NICE = 5
"""It takes the processor after the master, its tasks' planner."""
FAREWELL_S = 2


def main() -> None:
    """Serve until the master ends, or asks for it. Its order comes on standard input (see ``Page``)."""
    order = json.loads(sys.stdin.buffer.read() or "{}")
    if not order:
        return  # the master has ended before it could give it
    die_with_parent(order["parent"])
    close_memory()  # the order has the secret
    tell_title("page")
    log_to_stderr(PROGRAM if order["level"] <= logging.INFO else EMBEDDED)
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = MEMORY_BYTES if hard == resource.RLIM_INFINITY else min(MEMORY_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    os.nice(NICE)
    os.environ.pop(KEPT, None)  # no task is run here
    status = 0
    try:
        _serve(order)
    except (DiscoError, OSError) as error:
        log.warning("the web page is not served: %s", error, extra={"action": "serve"})
        status = 1
    # Not by way of the interpreter: a thread may still wait for a file of a node that does not answer.
    sys.stderr.flush()
    os._exit(status)


def _serve(order: dict[str, Any]) -> None:
    def secret(name: str) -> bytes | None:
        return None if order[name] is None else bytes.fromhex(order[name])

    listener = socket.socket(fileno=order["listener"])
    settings = Settings(redis=order["redis"], secret=secret("secret"))
    _PageServer(create_app(settings, order["address"], secret("page_key"))).serve_on(listener)


class _PageServer(HttpServer):
    """Ends its live streams when it is asked to end."""

    def __init__(self, app: Starlette) -> None:
        super().__init__(app, farewell_s=FAREWELL_S)
        self._streams = app.state.streams

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._streams.closing = True
        super().handle_exit(sig, frame)
