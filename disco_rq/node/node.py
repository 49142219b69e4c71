"""A node: a supervisor with as many workers as it has slots."""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import partial
from typing import IO

from redis.exceptions import RedisError

from disco_rq.errors import ConnectionLost, DiscoError, SettingsError
from disco_rq.node.dataport import DataPort
from disco_rq.node.supervisor import Supervisor
from disco_rq.outputs.datadir import DataDir
from disco_rq.outputs.wire import seal
from disco_rq.packing import fingerprints
from disco_rq.settings import Settings
from disco_rq.store import keys
from disco_rq.store.clients import open_client
from disco_rq.store.connection import Connection, Vigil
from disco_rq.store.nodes import NodeStore, live_slots, node_about
from disco_rq.worker.purging import purge_asked
from disco_rq.worker.worker import DiscoWorker

log = logging.getLogger("disco_rq.node")

LOCK = ".node-lock"
"""In the data directory: held by the one ``disco-rq node`` that serves it, whose pid it has."""


def start_workers(
    supervisor: Supervisor, settings: Settings, slots: int, in_child: Callable[[], None] = lambda: None
) -> None:
    """Fork the workers of a node; each dead one is told to the cluster at once, and replaced.

    ``in_child`` is called first in each.
    """
    assert settings.redis is not None
    connection = Connection(settings.redis, patience_s=3.0)
    node = NodeStore(connection, settings.node)
    for number in range(slots):
        slot = f"{settings.node}.{number}"
        supervisor.spawn(
            f"worker {slot}", _worker(settings, slot, in_child), died=partial(_dropped, node, slot)
        )


def _worker(settings: Settings, slot: str, in_child: Callable[[], None]) -> Callable[[], None]:
    def run() -> None:
        in_child()
        assert settings.redis is not None
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # RQ installs its own as soon as it works
        # A name of its own for each life: RQ refuses a name whose last bearer was killed.
        name = f"{slot}-{secrets.token_hex(3)}"
        # RQ waits for a lost Redis in its own way, so it gets a client that raises what it expects.
        connection = open_client(settings.redis)
        worker = DiscoWorker([keys.queue(settings.node)], name, connection=connection, settings=settings)
        worker.work(logging_level="ERROR")

    return run


def _dropped(node: NodeStore, slot: str) -> None:
    try:
        node.lose_worker(f"{slot}-")
    except DiscoError as error:
        log.warning("the loss of %s is not told: %s", slot, error, extra={"action": "drop"})


def run_node(settings: Settings, slots: int) -> None:
    """The program ``disco-rq node``: run a node until SIGTERM or SIGINT, then leave.

    What is queued goes back at once; what runs may end within ``settings.grace``, and is handed back after
    that, or on a second signal. The files are served until then. ``ConnectionLost`` when Redis is away for
    too long.

    Without slots it only serves the files of the node, whose workers are run by other means.
    """
    if settings.redis is None:
        raise ConnectionLost("a node needs the address of a Redis: set DISCO_RQ_REDIS or give --redis")
    connection, vigil = Connection(settings.redis), Vigil(settings.redis)
    connection.check()
    settings = replace(settings, data=settings.data.absolute())
    about = _about(connection, settings)
    hold = _held(settings)
    port = DataPort(settings)

    def let_go() -> None:
        port.close()
        hold.close()

    node = NodeStore(connection, settings.node)
    about |= {"url": port.url, "url_seal": seal(settings.secret, settings.node, port.url)}
    node.register(about | {"secret": " ".join(fingerprints(settings.secret))})
    node.open("leave")  # of a life before, which was killed
    connection.close()
    supervisor = Supervisor()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: supervisor.stop())
    log.info("node %s serves its files at %s", settings.node, port.url, extra={"action": "serve"})
    supervisor.spawn("data server", partial(_serve_data, port, settings, hold), last=True)
    start_workers(supervisor, settings, slots, in_child=let_go)
    grace_s = settings.grace
    leaving = nullcontext() if slots == 0 else _closed(settings)
    try:
        supervisor.watch(look=vigil.look if slots else partial(_look_without_workers, vigil, settings))
    except ConnectionLost:
        grace_s = 0.0  # what runs cannot be committed
        raise
    finally:
        port.close()
        with leaving:
            supervisor.end(grace_s)
        hold.close()


def _look_without_workers(vigil: Vigil, settings: Settings) -> None:
    """A node that only serves files has nobody else to delete those of purged jobs."""
    vigil.look()
    assert settings.redis is not None
    connection = Connection(settings.redis, patience_s=1.0)
    with suppress(DiscoError, RedisError, OSError):
        purge_asked(NodeStore(connection, settings.node), DataDir(settings.data))
    connection.close()


@contextmanager
def _closed(settings: Settings) -> Iterator[None]:
    """Within this the node gets no tasks, and what is queued there moves."""
    assert settings.redis is not None
    connection = Connection(settings.redis, patience_s=1.0)
    node = NodeStore(connection, settings.node)
    with suppress(DiscoError):
        node.close("leave", "it is leaving")
    yield
    with suppress(DiscoError):
        node.open("leave")
    connection.close()


def _about(connection: Connection, settings: Settings) -> dict[str, str]:
    """What the node tells of itself. ``SettingsError`` if its directory or its name cannot be its own."""
    try:
        about = DataDir(settings.data).about()
    except OSError as error:
        raise SettingsError(f"data directory {settings.data}: {error.strerror or error}") from None
    for node in live_slots(connection):
        other = node_about(connection, node)
        same_place = other.get("word") == about["word"]
        if node == settings.node and not same_place:
            raise SettingsError(
                f"node {node} runs already, at {other.get('data')} on {other.get('host')}: give this one "
                "another --node name, or the same --data directory"
            )
        if node != settings.node and same_place:
            raise SettingsError(f"data directory {settings.data} is that of node {node}: give each its own")
    return about


def _held(settings: Settings) -> IO[str]:
    """The node's lock, until it is closed or this process ends; those that it forks do not have it.

    ``SettingsError`` if another one serves this node: its end would leave the address of nobody.
    """
    file = open(settings.data / LOCK, "a+")  # noqa: SIM115
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        file.seek(0)
        holder = file.read().strip() or "unknown"
        file.close()
        raise SettingsError(
            f"node {settings.node} runs already here, on {settings.data}: end process {holder}, or give "
            "this one a name and a directory of its own"
        ) from None
    except OSError as error:
        file.close()
        raise SettingsError(f"data directory {settings.data}: cannot be locked: {error.strerror}") from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def _serve_data(port: DataPort, settings: Settings, hold: IO[str]) -> None:
    hold.close()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, signal.SIG_DFL)  # until it has its own
    # Only here: no other process of ours is to wait for a web server to be imported, or to hold one.
    from disco_rq.outputs.server import serve

    serve(port.listener, settings.data, settings.node, settings.secret)
