"""A Redis Cluster of three masters and three replicas on loopback; any may be killed, and slots moved."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import redis

from tests.services import TcpServer, free_port

PATIENCE_S = 60.0
SLOTS = 16384


class RedisCluster:
    def __init__(self, directory: Path) -> None:
        options = [
            *("--cluster-enabled", "yes", "--cluster-node-timeout", "1500", "--save", ""),
            *("--appendonly", "yes"),
            *("--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0"),
        ]
        self.clients: list[redis.Redis] = []
        buses = [free_port() for _ in range(6)]
        self.servers = [TcpServer(directory, *options, "--cluster-port", str(bus)) for bus in buses]
        try:
            self._join(buses)
        except BaseException:
            self.__exit__()
            raise

    def _join(self, buses: list[int]) -> None:
        self.clients += [redis.Redis(port=server.port, decode_responses=True) for server in self.servers]
        self.ids = [self.ask(number, "MYID") for number in range(6)]
        for number in range(3):
            first, last = SLOTS * number // 3, SLOTS * (number + 1) // 3 - 1
            self.ask(number, "ADDSLOTSRANGE", first, last)
            self.ask(number, "SET-CONFIG-EPOCH", number + 1)
        for server, bus in zip(self.servers[1:], buses[1:], strict=True):
            self.ask(0, "MEET", "127.0.0.1", server.port, bus)
        for number in range(3):
            self.wait(lambda number=number: self._follows(number + 3, number))  # type: ignore[misc]
        self.wait(self._is_whole)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for client in self.clients:
            client.close()
        for server in self.servers:
            server.kill()

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{server.port}" for server in self.servers[:3])

    def ask(self, number: int, *command: Any) -> Any:
        return self.clients[number].execute_command("CLUSTER", *command)  # type: ignore[no-untyped-call]

    def master_of(self, slot: int, but: int | None = None) -> int:
        """The number of the server that has it, as the others say."""
        for number in range(6):
            if number == but:
                continue
            try:
                ranges = self.ask(number, "SLOTS")
            except redis.RedisError:
                continue
            for first, last, (_, port, *_), *_ in ranges:
                if first <= slot <= last:
                    return next(i for i, server in enumerate(self.servers) if server.port == port)
        raise AssertionError(f"nobody has slot {slot}")

    def kill_master_of(self, slot: int) -> int:
        """SIGKILL; returns when another has taken over. The number of the one that was killed."""
        number = self.master_of(slot)
        self.servers[number].kill()
        self.wait(lambda: self.master_of(slot, but=number) != number)
        return number

    def move(self, slot: int) -> None:
        """To another master, key by key, as ``redis-cli --cluster reshard`` does it."""
        source = self.master_of(slot)
        target = next(number for number in range(6) if number != source and self._is_master(number))
        self.ask(target, "SETSLOT", slot, "IMPORTING", self.ids[source])
        self.ask(source, "SETSLOT", slot, "MIGRATING", self.ids[target])
        port = self.servers[target].port
        while keys := self.ask(source, "GETKEYSINSLOT", slot, 20):
            self.clients[source].migrate("127.0.0.1", port, keys, 0, 5000)
        for number in (target, source):
            self.ask(number, "SETSLOT", slot, "NODE", self.ids[target])
        self.wait(lambda: self.master_of(slot) == target)

    def wait(self, condition: Callable[[], Any]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                if condition():
                    return
            except (redis.RedisError, AssertionError):
                pass
            assert time.monotonic() < deadline, "the Redis Cluster is not as it should be"
            time.sleep(0.05)

    def _follows(self, replica: int, master: int) -> bool:
        if self.clients[replica].info("replication")["role"] == "master":
            self.ask(replica, "REPLICATE", self.ids[master])
        return bool(self.clients[replica].info("replication").get("master_link_status") == "up")

    def _is_master(self, number: int) -> bool:
        try:
            return bool(self.clients[number].info("replication")["role"] == "master")
        except redis.ConnectionError:  # it was killed
            return False

    def _is_whole(self) -> bool:
        return all("cluster_state:ok" in self.ask(number, "INFO") for number in range(6))
