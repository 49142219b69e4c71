"""A master, replicas and three sentinels on loopback ports, any of which a test may kill."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Self

import redis

from tests.services import TcpServer, free_port

SERVICE = "mymaster"
START_TIMEOUT_S = 20.0
DOWN_AFTER_MS = 1000


class Sentinels:
    """Redis with ``replicas`` replicas, watched by three sentinels that need two to agree."""

    def __init__(
        self, directory: Path, binary: Path | None = None, *, replicas: int = 2, options: tuple[str, ...] = ()
    ) -> None:
        """``options``: of every server, as on the command line."""
        self._directory, self._binary = directory, binary
        kept = ("--appendonly", "yes", "--save", "", "--repl-diskless-sync-delay", "0", *options)
        self.servers = [TcpServer(directory, *kept, binary=binary)]
        first = self.servers[0]
        for _ in range(replicas):
            follow = ("--replicaof", f"127.0.0.1 {first.port}")
            self.servers.append(TcpServer(directory, *kept, *follow, binary=binary))
        self._wait(self._in_step)
        self.sentinels = [self._sentinel(first.port) for _ in range(3)]
        self._wait(self._know_each_other)

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/{SERVICE}"

    @property
    def master(self) -> TcpServer:
        """The server that the sentinels name now."""
        port = self._ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)[1]
        return next(server for server in self.servers if server.port == int(port))

    def fail_over(self) -> None:
        """Ask for another master while this one lives; returns when there is one."""
        before = self.master
        self._ask("SENTINEL", "FAILOVER", SERVICE)
        self.wait_for_another(before)

    def wait_for_another(self, before: TcpServer) -> None:
        """Wait until the sentinels name another server, which is a master."""
        self._wait(lambda: self.master is not before and self._told(self.master)["role"] == "master")

    def replicas_of(self, server: TcpServer) -> int:
        """How many replicas follow it and are up to date."""
        told = self._told(server)
        return sum(told[f"slave{i}"]["state"] == "online" for i in range(told["connected_slaves"]))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for server in (*self.sentinels, *self.servers):
            server.kill()

    def _sentinel(self, port: int) -> TcpServer:
        own = free_port()
        conf = self._directory / f"sentinel-{own}.conf"
        conf.write_text(
            f"sentinel monitor {SERVICE} 127.0.0.1 {port} 2\n"
            f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MS}\n"
            f"sentinel failover-timeout {SERVICE} 5000\n"
        )
        return TcpServer(self._directory, str(conf), "--sentinel", binary=self._binary, port=own)

    def _in_step(self) -> bool:
        return self.replicas_of(self.servers[0]) == len(self.servers) - 1

    def _know_each_other(self) -> bool:
        return all(self._knows_all(sentinel) for sentinel in self.sentinels)

    def _knows_all(self, sentinel: TcpServer) -> bool:
        with redis.Redis(port=sentinel.port) as client:
            told: Any = client.sentinel_master(SERVICE)
            return (told["num-other-sentinels"], told["num-slaves"]) == (2, len(self.servers) - 1)

    def _ask(self, *command: str) -> Any:
        with redis.Redis(port=self.sentinels[0].port) as client:
            return client.execute_command(*command)

    def _told(self, server: TcpServer) -> Any:
        with redis.Redis(port=server.port) as client:
            return client.info("replication")

    def _wait(self, condition: Any) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not condition():
            assert time.monotonic() < deadline, self._said()
            time.sleep(0.02)

    def _said(self) -> str:
        logs = [server.log.read_text(errors="replace") for server in (*self.servers, *self.sentinels)]
        return "\n".join(log[-2000:] for log in logs)
