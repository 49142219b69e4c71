"""A cluster of named nodes on this machine, every part of which a test may kill, stop and start again."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol, Self

import psutil

from disco_rq import Disco
from disco_rq.machine.redisserver import PrivateServer, ServerBinary, private_directory
from disco_rq.store.connection import Connection
from disco_rq.store.nodes import live_slots

REPOSITORY = Path(__file__).parents[1]
MARK = "TEST_CLUSTER_OF_DISCO_RQ"
"""In the environment of every process of a cluster, so that none is left behind, whoever its parent was."""
START_TIMEOUT_S = 240.0
END_TIMEOUT_S = 10.0


class Home(Protocol):
    """What its programs need to know of a cluster."""

    directory: Path
    environment: dict[str, str]


class Part:
    """A program of the cluster: one process and its descendants. What it says goes to a file."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        cluster: Home,
        *,
        prefix: Sequence[str] = (),
        is_python: bool = True,
    ) -> None:
        """``arguments``: a Python module and its arguments, or a whole command. ``prefix``: a command that
        becomes it.
        """
        self.name = name
        self._command = [*prefix, *([sys.executable, "-m"] if is_python else []), *arguments]
        self._cluster = cluster
        self._log = cluster.directory / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it, for the first time or again."""
        assert not self.is_running, f"{self.name} runs already"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=REPOSITORY,
                env=self._cluster.environment,
            )

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def said(self) -> str:
        """All that it and its descendants have logged, in all its lives."""
        return self._log.read_text(errors="replace")

    @property
    def last_words(self) -> str:
        """The last line that it logged."""
        return self.said.strip().rpartition("\n")[2]

    def processes(self) -> list[psutil.Process]:
        """The program's process first, then its descendants; empty when it has ended."""
        if not self.is_running:
            return []
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            return [process, *process.children(recursive=True)]
        return []

    def workers(self) -> list[psutil.Process]:
        """Of a node: the parents of the horses."""
        return [child for node in self.processes()[:1] for child in _children(node) if _children(child)]

    def horses(self) -> list[psutil.Process]:
        return [horse for worker in self.workers() for horse in _children(worker)]

    def behead(self) -> None:
        """SIGKILL to the program's own process alone, as the kernel does when memory runs out."""
        assert self._process is not None
        self._process.kill()
        self.wait()

    def kill(self) -> None:
        """SIGKILL to all of it at once."""
        for process in self.processes():
            send(process, signal.SIGKILL)
        self.wait()

    def stop(self) -> None:
        """SIGSTOP to all of it."""
        for process in self.processes():
            send(process, signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT to all of it."""
        for process in self.processes():
            send(process, signal.SIGCONT)

    def ask_to_end(self) -> None:
        """SIGTERM to its process."""
        assert self._process is not None
        self._process.terminate()

    def terminate(self) -> int:
        """Ask it to leave; its exit status."""
        self.ask_to_end()
        return self.wait()

    def wait(self, timeout_s: float = END_TIMEOUT_S) -> int:
        """Its exit status, when it has ended."""
        assert self._process is not None
        return self._process.wait(timeout_s)


class NodeCluster:
    """A Redis that can be killed, and any number of masters and nodes, in a directory of their own.

    Redis writes each command to its file before it answers, so that nothing acknowledged is ever lost.
    """

    def __init__(self, backup: Path | None = None, *, binary: ServerBinary | None = None) -> None:
        """``backup``: what its directory begins with. ``binary``: of Redis, else the one that is found."""
        self.directory = private_directory()
        if backup is not None:
            shutil.copytree(backup, self.directory, dirs_exist_ok=True)
            self.directory.chmod(0o700)
        self.mark = secrets.token_hex(8)
        self._binary = binary
        self._server = PrivateServer(self.directory, binary)
        self.url = self._server.url
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("DISCO_RQ_")},
            "DISCO_RQ_REDIS": self.url,
            "DISCO_RQ_DATA": str(self.directory),
            "DISCO_RQ_HTTP": "127.0.0.1:0",
            MARK: self.mark,
            "SPT_NOENV": "1",  # the title of a process leaves its environment, and so the mark, to be read
        }
        self.masters: list[Part] = []
        self.nodes: dict[str, Part] = {}
        self.others: list[Part] = []
        self._write_at_once()
        self.disco = Disco(self.url)
        self.connection = Connection(self.url)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: object, *_: object) -> None:
        if error is not None:
            print(self.said())
        self.close()

    def master(self) -> Part:
        """Start one more master."""
        part = Part(f"master{len(self.masters)}", ["disco_rq.cli", "master"], self)
        self.masters.append(part)
        return part

    def node(self, name: str, slots: int = 1) -> Part:
        """Start a node of a new name."""
        data = str(self.data(name))
        options = ["--node", name, "--slots", str(slots), "--data", data]
        part = Part(name, ["disco_rq.cli", "node", *options], self)
        self.nodes[name] = part
        return part

    def program(self, name: str, arguments: Sequence[str]) -> Part:
        """Start any other Python program, a module and its arguments, as a part of the cluster."""
        part = Part(name, arguments, self)
        self.others.append(part)
        return part

    def data(self, node: str) -> Path:
        """The directory of a node's files."""
        return self.directory / f"data-{node}"

    def slots(self, node: str) -> int:
        """The workers of a node that are alive, as the cluster knows."""
        return live_slots(self.connection).get(node, 0)

    def wait_ready(self) -> None:
        """Wait until every node that was started can run tasks."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while not all(self.slots(name) and node.horses() for name, node in self.nodes.items()):
            assert time.monotonic() < deadline, f"a node did not start: {self.said()}"
            time.sleep(0.02)

    def said(self) -> str:
        """What every part has logged."""
        return "\n".join(f"{part.name}: {part.said}" for part in self._parts())

    def _parts(self) -> list[Part]:
        return [*self.masters, *self.nodes.values(), *self.others]

    # -- Redis

    @property
    def redis_pid(self) -> int:
        return self._server.pid

    def kill_redis(self) -> None:
        """SIGKILL to Redis."""
        os.kill(self._server.pid, signal.SIGKILL)
        self._server.stop()  # nothing is left to stop: this reaps it

    def start_redis(self) -> None:
        """Start Redis again, from its append-only file."""
        self._server = PrivateServer(self.directory, self._binary)
        self._write_at_once()

    def _write_at_once(self) -> None:
        connection = Connection(self.url)
        connection.redis.config_set("appendfsync", "always")
        connection.close()

    # -- the end

    def close(self) -> None:
        """End every process and delete the directory."""
        self.disco.close()
        self.connection.close()
        deadline = time.monotonic() + END_TIMEOUT_S
        while left := list(marked(self.mark)):
            assert time.monotonic() < deadline, f"processes that cannot be killed: {left}"
            for process in left:
                send(process, signal.SIGKILL)
            time.sleep(0.01)
        for part in self._parts():
            part.wait()
        self._server.stop()
        shutil.rmtree(self.directory, ignore_errors=True)


def send(process: psutil.Process, signum: signal.Signals) -> None:
    """A signal to that very process, if it is still there: psutil knows it by its start time too."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(signum)


def marked(mark: str) -> Iterator[psutil.Process]:
    """The living processes of a cluster."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == mark:
                yield process


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children())
    except psutil.NoSuchProcess:
        return []
