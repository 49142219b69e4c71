"""The programs of a real cluster, each a process of its own, for tests that need more than one node."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from disco_rq.settings import PREFIX
from disco_rq.store.connection import Connection
from disco_rq.store.nodes import live_slots, node_about
from tests.cluster.conftest import wait_until


@contextmanager
def program(*arguments: str, redis: str, **settings: str) -> Iterator[psutil.Process]:
    """``disco-rq`` with these arguments and settings, ended like a service."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    environment |= {PREFIX + name.upper(): value for name, value in {"redis": redis, **settings}.items()}
    command = [sys.executable, "-m", "disco_rq.cli", *arguments]
    process = subprocess.Popen(command, env=environment)
    try:
        yield psutil.Process(process.pid)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def running_node(
    redis: str, node: str, data: Path, slots: int = 1, options: tuple[str, ...] = (), **settings: str
) -> Iterator[psutil.Process]:
    """A node that works and serves its files."""
    arguments = ["node", "--node", node, "--slots", str(slots), "--data", str(data), *options]
    connection = Connection(redis)
    with program(*arguments, redis=redis, **settings) as process:
        wait_until(lambda: live_slots(connection).get(node, 0) == slots)
        wait_until(lambda: "url" in node_about(connection, node))
        yield process
    connection.close()


def data_server_of(node: psutil.Process) -> psutil.Process | None:
    """The child of a node that listens, once it does; workers close that socket."""
    for child in node.children():
        try:
            if any(each.status == psutil.CONN_LISTEN for each in child.net_connections("tcp")):
                return child
        except psutil.Error:
            continue
    return None
