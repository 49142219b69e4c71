"""Redis servers and Sentinels on loopback ports, with whatever options a test wants."""

from __future__ import annotations

import re
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from disco_rq.machine.redisserver import find_server

REPOSITORY = Path(__file__).parents[1]
OPS = REPOSITORY / "ops"
START_TIMEOUT_S = 10.0


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def without_placeholders(name: str, passwords: Mapping[str, str]) -> str:
    """A file of ops/ with ``CHANGE-user`` replaced by the user's password, or one that nobody knows."""
    text = (OPS / name).read_text()
    return re.sub(r"CHANGE-(\w+)", lambda found: passwords.get(found[1], f"unused-{found[1]}"), text)


class TcpServer:
    """A server that listens on loopback; its files are in a directory of its own below ``directory``."""

    def __init__(
        self, directory: Path, *options: str, binary: Path | None = None, port: int = 0, scheme: str = "redis"
    ) -> None:
        """``options``: as on the command line. ``scheme``: ``rediss`` when they make it listen with TLS."""
        self.port = port or free_port()
        self._scheme = scheme
        home = directory / f"server-{self.port}"
        home.mkdir(exist_ok=True)
        self.log = home / "log"
        listen = ["--port", "0", "--tls-port"] if scheme == "rediss" else ["--port"]
        self._command = [str(binary or find_server().path), *options, *listen, str(self.port)]
        self._command += ["--bind", "127.0.0.1", "--dir", str(home), "--logfile", str(self.log)]
        self.start()

    def start(self) -> None:
        """Start it, for the first time or again."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._listens():
            assert self._process.poll() is None, self.log.read_text() if self.log.exists() else self._command
            assert time.monotonic() < deadline, self._command
            time.sleep(0.01)

    def url(self, login: str = "", options: str = "") -> str:
        """Its address; ``login``: ``user:password@``; ``options``: behind a question mark."""
        return f"{self._scheme}://{login}127.0.0.1:{self.port}/0{options}"

    @property
    def pid(self) -> int:
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        """SIGKILL; may be called again."""
        self._process.kill()
        self._process.wait()

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True
