"""A master, replicas and three sentinels on loopback, as ops/sentinel.conf has them; any may be killed."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

import redis

from tests.authority import Authority
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
        authority: Authority | None = None,
    ) -> None:
        """``passwords``: of the users in ops/users.conf, which are set up then, and of the sentinels.
        ``authority``: all of them speak TLS only, with its certificate.
        """
        self._directory, self._binary, self._passwords = directory, binary, passwords
        self._authority = authority
        self._scheme = "redis" if authority is None else "rediss"
        self._tls = [] if authority is None else [*authority.options, "--tls-replication", "yes"]
        options = [*self._tls, "--appendonly", "yes", "--save", "", "--repl-diskless-sync-delay", "0"]
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
        self.servers = [TcpServer(directory, *options, binary=binary, scheme=self._scheme)]
        first = self.servers[0]
        for _ in range(replicas):
            follow = ("--replicaof", f"127.0.0.1 {first.port}")
            self.servers.append(TcpServer(directory, *options, *follow, binary=binary, scheme=self._scheme))
        self.wait(self._in_step)
        self.sentinels = [self._sentinel(first.port) for _ in range(3)]
        self.wait(self._know_each_other)

    def url(self, user: str = "") -> str:
        """Their address, with the login of a user."""
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        login, options = "", {}
        if self._passwords is not None:
            login = f"{user}:{self._passwords[user]}@"
            options["sentinel_password"] = self._passwords["sentinels"]
        if self._authority is not None:
            options["ssl_ca_certs"] = str(self._authority.certificate)
        return f"{self._scheme}+sentinel://{login}{hosts}/{SERVICE}?{urlencode(options)}"

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
        options = [str(conf), "--sentinel", *self._tls]
        return TcpServer(self._directory, *options, binary=self._binary, port=own, scheme=self._scheme)

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
        login = "" if self._passwords is None else f"admin:{self._passwords['admin']}@"
        return self._open(server, login)

    def _client_of(self, sentinel: TcpServer) -> redis.Redis:
        return self._open(sentinel, "" if self._passwords is None else f":{self._passwords['sentinels']}@")

    def _open(self, server: TcpServer, login: str) -> redis.Redis:
        options = "" if self._authority is None else f"?ssl_ca_certs={self._authority.certificate}"
        return redis.Redis.from_url(server.url(login, options))

    def wait(self, condition: Callable[[], bool]) -> None:
        """Poll until it holds; fails with what all of them logged."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, self._said()
            time.sleep(0.02)

    def _said(self) -> str:
        logs = [server.log.read_text(errors="replace") for server in (*self.servers, *self.sentinels)]
        return "\n".join(log[-2000:] for log in logs)
