"""A master, replicas and three sentinels on loopback, as ops/sentinel.conf has them; any may be killed."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import redis

from tests.services import TcpServer, free_port, without_placeholders

SERVICE = "mymaster"
PATIENCE_S = 60.0
"""A sentinel that a busy machine has held up for two seconds does nothing for thirty (its "TILT mode")."""
DOWN_AFTER_MS = 1000


class Sentinels:
    """Redis with ``replicas`` replicas, watched by three sentinels that need two to agree."""

    def __init__(
        self,
        directory: Path,
        binary: Path | None = None,
        *,
        replicas: int = 2,
        passwords: Mapping[str, str] | None = None,
    ) -> None:
        """``passwords``: of the users in ops/users.conf, which are set up then, and of the sentinels."""
        self._directory, self._binary, self._passwords = directory, binary, passwords
        options = ["--appendonly", "yes", "--save", "", "--repl-diskless-sync-delay", "0"]
        if passwords is not None:
            users = directory / "users.conf"
            users.write_text(without_placeholders("users.conf", passwords))
            options += [
                "--include",
                str(users),
                "--masteruser",
                "replica",
                "--masterauth",
                passwords["replica"],
            ]
        self.servers = [TcpServer(directory, *options, binary=binary)]
        first = self.servers[0]
        for _ in range(replicas):
            follow = ("--replicaof", f"127.0.0.1 {first.port}")
            self.servers.append(TcpServer(directory, *options, *follow, binary=binary))
        self.wait(self._in_step)
        self.sentinels = [self._sentinel(first.port) for _ in range(3)]
        self.wait(self._know_each_other)

    def url(self, user: str = "") -> str:
        """Their address, with the login of a user."""
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        if self._passwords is None:
            return f"redis+sentinel://{hosts}/{SERVICE}"
        login = f"{user}:{self._passwords[user]}"
        return f"redis+sentinel://{login}@{hosts}/{SERVICE}?sentinel_password={self._passwords['sentinels']}"

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
        self.wait(lambda: self.master is not before and self._told(self.master)["role"] == "master")

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
        lines = without_placeholders("sentinel.conf", self._passwords or {}).splitlines()
        if self._passwords is None:
            lines = [line for line in lines if "pass" not in line and "auth-user" not in line]
        conf = self._directory / f"sentinel-{own}.conf"
        text = "\n".join(line for line in lines if not line.startswith("#"))
        text = text.replace(" 127.0.0.1 6379 ", f" 127.0.0.1 {port} ")
        conf.write_text(re.sub(r"(down-after-milliseconds \w+) \d+", rf"\1 {DOWN_AFTER_MS}", text))
        return TcpServer(self._directory, str(conf), "--sentinel", binary=self._binary, port=own)

    def _in_step(self) -> bool:
        return self.replicas_of(self.servers[0]) == len(self.servers) - 1

    def _know_each_other(self) -> bool:
        return all(self._knows_all(sentinel) for sentinel in self.sentinels)

    def _knows_all(self, sentinel: TcpServer) -> bool:
        with self._client_of(sentinel) as client:
            told: Any = client.sentinel_master(SERVICE)
            return (told["num-other-sentinels"], told["num-slaves"]) == (2, len(self.servers) - 1)

    def _ask(self, *command: str) -> Any:
        with self._client_of(self.sentinels[0]) as client:
            return client.execute_command(*command)

    def _told(self, server: TcpServer) -> Any:
        with self.client(server) as client:
            return client.info("replication")

    def client(self, server: TcpServer) -> redis.Redis:
        """A client of one server, which may do everything there."""
        if self._passwords is None:
            return redis.Redis(port=server.port)
        return redis.Redis(port=server.port, username="admin", password=self._passwords["admin"])

    def _client_of(self, sentinel: TcpServer) -> redis.Redis:
        password = None if self._passwords is None else self._passwords["sentinels"]
        return redis.Redis(port=sentinel.port, password=password)

    def wait(self, condition: Callable[[], bool]) -> None:
        """Poll until it holds; fails with what all of them logged."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, self._said()
            time.sleep(0.02)

    def _said(self) -> str:
        logs = [server.log.read_text(errors="replace") for server in (*self.servers, *self.sentinels)]
        return "\n".join(log[-2000:] for log in logs)
