"""The process that owns an embedded cluster: server, master and workers live as long as the pipe to its
owner.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import shutil
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from disco_rq.client.embedded import OPEN, START_TIMEOUT_S
from disco_rq.errors import DiscoError
from disco_rq.machine.hiding import hide_secret
from disco_rq.machine.logs import EMBEDDED, log_to_stderr
from disco_rq.machine.redisserver import PrivateServer
from disco_rq.machine.streams import open_closed_streams
from disco_rq.machine.titles import tell_title
from disco_rq.node.node import start_workers
from disco_rq.node.supervisor import Supervisor
from disco_rq.settings import PREFIX, Settings, WebhookSettings
from disco_rq.store.connection import Connection
from disco_rq.store.nodes import live_slots
from disco_rq.web.access import LINK_PATH, token
from disco_rq.web.port import WebPort
from disco_rq.web.serving import run_master_with_page
from disco_rq.worker.postman import Postman

log = logging.getLogger("disco_rq.webhook")

NODE = "localhost"
FAREWELL_S = 5.0
"""For how long a cluster that is closed still tells the ends of jobs to addresses."""
FAREWELL_LOOK_S = 0.02


def main() -> None:
    """The process that owns the cluster. Arguments: directory, workers, ``open`` or ``closed``."""
    directory, workers, has_open_page = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == OPEN
    open_closed_streams()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # nobody else may talk into the answers
    log_to_stderr(EMBEDDED)
    logging.getLogger("disco_rq").setLevel(logging.WARNING)
    # RQ warns of what is ordinary here: stopping what has ended.
    logging.getLogger("rq").setLevel(logging.ERROR)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    supervisor = Supervisor()
    signal.signal(signal.SIGTERM, lambda *_: supervisor.stop())
    try:
        _own(supervisor, directory, workers, answers.fileno(), has_open_page=has_open_page)
    except DiscoError as error:
        _say(answers.fileno(), error=str(error))
    finally:
        supervisor.end(grace_s=0)
        shutil.rmtree(directory, ignore_errors=True)


def _own(supervisor: Supervisor, directory: Path, workers: int, answers: int, *, has_open_page: bool) -> None:
    os.chdir("/")
    environment, webhooks = Settings.from_env(), WebhookSettings.from_env()
    hide_secret()
    tell_title("cluster of its own")
    with PrivateServer(directory) as server:
        supervisor.spare(server.pid)
        settings = replace(
            environment,
            redis=server.url,
            node=NODE,
            data=directory / "data",
            # Several programs may have a cluster each: a port is taken only where the settings name it.
            http=environment.http if has_open_page or PREFIX + "HTTP" in os.environ else "127.0.0.1:0",
        )
        # One for all lives of the master: it follows none that is not dead.
        lease_token = secrets.token_hex(8)
        port = WebPort(settings)  # held here, so that it stays the same in all lives of the master
        # In memory only: not in the environment or the arguments of a process, which others may see.
        page_key = None if has_open_page or settings.secret else secrets.token_hex(32).encode()
        supervisor.spawn("master", lambda: run_master_with_page(settings, port, lease_token, page_key))
        start_workers(supervisor, settings, workers, in_child=port.close)
        connection = Connection(server.url)
        _wait_for_workers(connection, workers)
        link = f"{port.url}{LINK_PATH}{token(page_key, 'admin')}" if page_key and port.url else port.url
        _say(answers, url=server.url, http=link, problem=port.problem)
        postman = Postman(server.url, webhooks, partial(_sent_out, supervisor, port))
        supervisor.watch(until=sys.stdin.fileno(), look=postman.look)
        _take_leave(supervisor, postman)
        supervisor.end(grace_s=0)


def _sent_out(supervisor: Supervisor, port: WebPort, deliver: Callable[[], None]) -> Callable[[], bool]:
    """Start it; whether it is still at it."""

    def run() -> None:
        port.close()
        deliver()

    return partial(supervisor.has, supervisor.spawn("webhooks", run, once=True))


def _take_leave(supervisor: Supervisor, postman: Postman) -> None:
    """What has ended is told, where somebody is to hear it, before there is nobody to tell it."""
    deadline = time.monotonic() + FAREWELL_S

    def look() -> bool:
        postman.look()
        return postman.untold == 0 or time.monotonic() > deadline

    supervisor.watch(look=look, every_s=FAREWELL_LOOK_S)
    if postman.untold:
        text = "this cluster ends, and %s of its webhooks (on_end) could not be told within %.0f s"
        log.warning(text, postman.untold, FAREWELL_S, extra={"action": "webhook"})


def _wait_for_workers(connection: Connection, workers: int) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while (alive := sum(live_slots(connection).values())) < workers:
        if time.monotonic() > deadline:
            raise DiscoError(f"{alive} of its {workers} workers are there after {START_TIMEOUT_S:.0f} s")
        time.sleep(0.002)


def _say(answers: int, **said: str) -> None:
    with suppress(BrokenPipeError):  # the owner has gone meanwhile: then there is nobody to tell
        os.write(answers, (json.dumps(said) + "\n").encode())
