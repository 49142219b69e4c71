"""A node: a supervisor with as many workers as it has slots."""

from __future__ import annotations

import json
import logging
import secrets
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import IO

from redis.exceptions import RedisError

from disco_rq.errors import ConnectionLost, DiscoError, SettingsError
from disco_rq.machine.about import about_node
from disco_rq.machine.hiding import hide_secret
from disco_rq.machine.titles import tell_title
from disco_rq.node.dataport import DataPort
from disco_rq.node.lock import lock_node
from disco_rq.node.supervisor import Supervisor
from disco_rq.node.sweep import Sweep
from disco_rq.outputs.datadir import DataDir
from disco_rq.outputs.wire import data_keys, new_life, seal
from disco_rq.packing import fingerprints
from disco_rq.planning.labels import parse_labels
from disco_rq.settings import PREFIX, Settings
from disco_rq.store import keys
from disco_rq.store.clients import open_client
from disco_rq.store.connection import Connection, Vigil
from disco_rq.store.nodes import NodeStore, live_slots, node_about, say_good_bye
from disco_rq.worker.membership import join_cluster
from disco_rq.worker.purging import purge_asked
from disco_rq.worker.worker import DiscoWorker

log = logging.getLogger("disco_rq.node")


class Node:
    """A node as its supervising process sees it: its settings, and the Redis that it belongs to."""

    def __init__(self, settings: Settings) -> None:
        """``ConnectionLost`` if the settings name no Redis."""
        if settings.redis is None:
            raise ConnectionLost("a node needs the address of a Redis: set DISCO_RQ_REDIS or give --redis")
        self.redis = settings.redis
        self.settings = replace(settings, data=settings.data.absolute())
        self.name = settings.node

    def start_workers(self, supervisor: Supervisor, slots: int, in_child: Callable[[], None]) -> None:
        """As the function of this name."""
        store = NodeStore(Connection(self.redis, patience_s=3.0), self.name)
        for number in range(slots):
            slot = f"{self.name}.{number}"
            run = partial(self._work, slot, in_child)
            supervisor.spawn(f"worker {slot}", run, died=partial(_dropped, store, slot))

    def _work(self, slot: str, in_child: Callable[[], None]) -> None:
        in_child()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # RQ installs its own as soon as it works
        # A name of its own for each life: RQ refuses a name whose last bearer was killed.
        name = f"{slot}-{secrets.token_hex(3)}"
        # RQ waits for a lost Redis in its own way, so it gets a client that raises what it expects.
        connection = open_client(self.redis)
        worker = DiscoWorker([keys.queue(self.name)], name, connection=connection, settings=self.settings)
        worker.work(logging_level="ERROR")

    def about(self, connection: Connection) -> dict[str, str]:
        """Make its directory. Returns what it tells of itself; ``SettingsError`` if its directory or its name
        cannot be its own.
        """
        data = self.settings.data
        try:
            labels = parse_labels(self.settings.labels)
        except ValueError as error:
            raise SettingsError(f"{PREFIX}LABELS: {error}") from None
        try:
            about = about_node(data, DataDir(data).prepare()) | {"labels": json.dumps(labels)}
        except OSError as error:
            raise SettingsError(f"data directory {data}: {error.strerror or error}") from None
        prefix = about["rq_prefix"]
        for node in live_slots(connection):
            other = node_about(connection, node)
            if (theirs := other.get("rq_prefix", prefix)) != prefix:
                log.warning(
                    "keys of RQ begin with %s here, and with %s on node %s: one of these gets no tasks; "
                    "set RQ_KEY_PREFIX alike",
                    *(prefix, theirs, node),
                    extra={"action": "register"},
                )
            same_place = other.get("word") == about["word"]
            if node == self.name and not same_place:
                raise SettingsError(
                    f"node {node} runs already, at {other.get('data')} on {other.get('host')}: give this one "
                    "another --node name, or the same --data directory"
                )
            if node != self.name and same_place:
                raise SettingsError(f"data directory {data} is that of node {node}: give each its own")
        return about

    @contextmanager
    def leaving(self, *, takes_tasks: bool) -> Iterator[None]:
        """Within this a node that took tasks gets none, and what is queued there moves. Behind it, it has
        left.
        """
        connection = Connection(self.redis, patience_s=1.0)
        store = NodeStore(connection, self.name)
        with suppress(DiscoError):
            if takes_tasks:
                store.close("leave", "it is leaving")
        yield
        with suppress(DiscoError):
            say_good_bye(connection, self.name)
            if takes_tasks:
                store.open("leave")
        connection.close()

    def looks(self, vigil: Vigil, about: Mapping[str, str], *, deletes: bool) -> Callable[[], None]:
        """What is to be called about once a second."""
        data = DataDir(self.settings.data)
        sweep = Sweep(
            NodeStore(Connection(self.redis, patience_s=1.0), self.name), data, self.settings.sweep_after
        )
        connection = Connection(self.redis, patience_s=1.0)

        def look() -> None:
            self.look_after(vigil, connection, about, deletes=deletes)
            sweep.look_in_time()

        return look

    def look_after(
        self, vigil: Vigil, connection: Connection, about: Mapping[str, str], *, deletes: bool
    ) -> None:
        """Tell ``about`` again to a Redis that has forgotten it.

        ``deletes``: a node that only serves files has nobody else to delete those of purged jobs.
        """
        vigil.look()
        store = NodeStore(connection, self.name)
        with suppress(DiscoError, RedisError, OSError):
            store.tell_again(about)
            if deletes:
                purge_asked(store, DataDir(self.settings.data))


def start_workers(
    supervisor: Supervisor, settings: Settings, slots: int, in_child: Callable[[], None] = lambda: None
) -> None:
    """Fork the workers of a node; each dead one is told to the cluster at once, and replaced.

    ``in_child`` is called first in each.
    """
    Node(settings).start_workers(supervisor, slots, in_child)


def _dropped(store: NodeStore, slot: str) -> None:
    try:
        store.lose_worker(f"{slot}-")
    except DiscoError as error:
        log.warning("the loss of %s is not told: %s", slot, error, extra={"action": "drop"})


def run_node(settings: Settings, slots: int) -> None:
    """The program ``disco-rq node``: run a node until SIGTERM or SIGINT, then leave.

    What is queued goes back at once; what runs may end within ``settings.grace``, and is handed back after
    that, or on a second signal. The files are served until then. ``ConnectionLost`` when Redis is away for
    too long.

    Without slots it only serves the files of the node, whose workers are run by other means.
    """
    hide_secret()
    here = Node(settings)
    settings = here.settings
    connection, vigil = Connection(here.redis), Vigil(here.redis)
    connection.check()
    about = here.about(connection)
    hold = lock_node(settings)
    tell_title(f"node {here.name}, {slots} slots")
    port = DataPort(settings)

    def let_go() -> None:
        port.close()
        hold.close()

    join_cluster(connection, DataDir(settings.data), settings.secret)
    store = NodeStore(connection, settings.node)
    life = new_life()
    url_seal = seal(settings.secret, settings.node, life, port.url)
    about |= {"url": port.url, "life": life, "url_seal": url_seal}
    about |= {"secret": " ".join(fingerprints(settings.secret))}
    store.register(about)
    store.open("leave")  # of a life before, which was killed
    connection.close()
    supervisor = Supervisor()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: supervisor.stop())
    log.info("node %s serves its files at %s", settings.node, port.url, extra={"action": "serve"})
    supervisor.spawn(f"data server {here.name}", partial(_serve_data, port, settings, hold, life), last=True)
    here.start_workers(supervisor, slots, in_child=let_go)
    grace_s = settings.grace
    try:
        supervisor.watch(look=here.looks(vigil, about, deletes=slots == 0))
    except ConnectionLost:
        grace_s = 0.0  # what runs cannot be committed
        raise
    finally:
        port.close()
        with here.leaving(takes_tasks=slots > 0):
            supervisor.end(grace_s)
        hold.close()


def _serve_data(port: DataPort, settings: Settings, hold: IO[str], life: str) -> None:
    hold.close()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, signal.SIG_DFL)  # until it has its own
    # Only here: no other process of ours is to wait for a web server to be imported, or to hold one.
    from disco_rq.outputs.server import ServerWords, serve

    told = ServerWords(settings.node, life, port.url)
    serve(port.listener, settings.data, told, data_keys(settings.secret))
