"""A node: a supervisor with as many workers as it has slots."""

from __future__ import annotations

import logging
import secrets
import signal
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import redis

from disco_rq import keys
from disco_rq.errors import ConnectionLost, DiscoError
from disco_rq.settings import Settings
from disco_rq.store.connection import Connection
from disco_rq.store.nodes import NodeStore
from disco_rq.supervisor import Supervisor
from disco_rq.worker import DiscoWorker

log = logging.getLogger("disco_rq.node")

GRACE_S = 30.0
"""For how long a node that is asked to leave lets its tasks finish."""


def start_workers(supervisor: Supervisor, settings: Settings, slots: int) -> None:
    """Fork the workers of a node; each dead one is told to the cluster at once, and replaced."""
    assert settings.redis is not None
    connection = Connection(settings.redis, patience_s=3.0)
    node = NodeStore(connection, settings.node)
    for number in range(slots):
        slot = f"{settings.node}.{number}"
        supervisor.spawn(f"worker {slot}", _worker(settings, slot), died=partial(_dropped, node, slot))


def _worker(settings: Settings, slot: str) -> Callable[[], None]:
    def run() -> None:
        assert settings.redis is not None
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # RQ installs its own as soon as it works
        # A name of its own for each life: RQ refuses a name whose last bearer was killed.
        name = f"{slot}-{secrets.token_hex(3)}"
        # RQ waits for a lost Redis in its own way, so it gets a client as it expects one.
        connection = redis.Redis.from_url(settings.redis)
        worker = DiscoWorker([keys.queue(settings.node)], name, connection=connection, settings=settings)
        worker.work(logging_level="ERROR")

    return run


def _dropped(node: NodeStore, slot: str) -> None:
    try:
        node.drop_slots(f"{slot}-")
    except DiscoError as error:
        log.warning("the loss of %s is not told: %s", slot, error, extra={"action": "drop"})


def run_node(settings: Settings, slots: int) -> None:
    """The program ``disco-rq node``: run a node until SIGTERM or SIGINT, then finish its tasks and leave."""
    if settings.redis is None:
        raise ConnectionLost("a node needs the address of a Redis: set DISCO_RQ_REDIS or give --redis")
    Connection(settings.redis).check()
    settings = replace(settings, data=settings.data.absolute())
    supervisor = Supervisor()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: supervisor.stop())
    start_workers(supervisor, settings, slots)
    try:
        supervisor.watch()
    finally:
        supervisor.end(GRACE_S)
