"""Clients of Redis, made here and nowhere else, so that all of them follow a failover.

What a server says that is not the master any more, or not yet, or that takes nothing for a while, since a
script keeps it busy or its disk is full, is a lost connection: it is closed, and the command asked again on a
new one, which goes to the master that the sentinels name then. In a Redis Cluster all our keys are in one
slot, and a connection goes to the master of that.
"""

from __future__ import annotations

import asyncio
import os
import re
import weakref
from typing import Any

import redis
import redis.asyncio
from redis._parsers import _AsyncHiredisParser, _HiredisParser
from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.asyncio.sentinel import SentinelConnectionPool as AsyncSentinelPool
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel, SentinelConnectionPool

from disco_rq.errors import SettingsError
from disco_rq.settings import PREFIX, key_prefix
from disco_rq.store.address import (
    ClusterAddress,
    SentinelAddress,
    check_scheme,
    cluster_address,
    is_cluster,
    is_sentinel,
    no_address,
    sentinel_address,
)

SENTINEL_TIMEOUT_S = 1.0
"""For how long one sentinel, or server of a cluster, is waited for, before the next one is asked."""

# At the beginning of an error, or, from Redis 6.2, of that of a command within a script. In the second line:
# our keys are with another server of a Redis Cluster, on their way to it, or with none just now.
_TAKES_NOTHING = re.compile(
    r"(?:^|: -?)(?:BUSY|MISCONF|READONLY|UNBLOCKED|NOREPLICAS|MASTERDOWN|LOADING"
    r"|MOVED|ASK|TRYAGAIN|CLUSTERDOWN) "
)


class _Parser(_HiredisParser):
    """Knows from which errors one sees that the server cannot take what is written."""

    @classmethod
    def parse_error(cls, response: str) -> Exception:
        if _TAKES_NOTHING.search(response):
            return RedisConnectionError(response)
        error: Exception = super().parse_error(response)  # type: ignore[no-untyped-call]
        return error


class _MasterConnection(redis.Connection):
    """Asks the sentinels each time it connects.

    redis-py's own goes back to the server that it knew, when it is broken in the middle of a command.
    """

    def __init__(self, *, connection_pool: Any, **options: Any) -> None:
        self._master = connection_pool
        super().__init__(**options)  # type: ignore[no-untyped-call]

    def _connect(self) -> Any:
        self.host, self.port = self._master.get_master_address()
        return super()._connect()  # type: ignore[no-untyped-call]


class _MasterTLSConnection(_MasterConnection, redis.SSLConnection):
    pass


class _Sentinels(Sentinel):
    """Tells in short why no master is found, and keeps no connection to a sentinel open."""

    def discover_master(self, service_name: str) -> tuple[str, int]:
        told = []
        for sentinel in list(self.sentinels):
            options = sentinel.connection_pool.connection_kwargs
            name = f"{options['host']}:{options['port']}"
            try:
                known: Any = sentinel.sentinel_masters()
            except RedisError as error:
                told.append(f"sentinel {name}: {error}")
                continue
            finally:
                sentinel.connection_pool.disconnect(inuse_connections=False)
            state = known.get(service_name)
            if state is not None and state["is_master"] and not state["is_sdown"] and not state["is_odown"]:
                self.sentinels = [sentinel, *(other for other in self.sentinels if other is not sentinel)]
                return state["ip"], state["port"]
            told.append(f"sentinel {name} {'knows no' if state is None else 'sees it down:'} {service_name}")
        raise MasterNotFoundError("; ".join(told))


class _Cluster:
    """Knows which server has our slot: any that answers is asked, those first that were master already."""

    def __init__(self, address: ClusterAddress) -> None:
        self._slot = _slot()
        self._known = list(address.servers)
        waits = {"socket_connect_timeout": SENTINEL_TIMEOUT_S, "socket_timeout": SENTINEL_TIMEOUT_S}
        self._options = {**address.options, **waits, "ssl": address.tls, "retry": Retry(NoBackoff(), 0)}
        self._options.pop("db", None)

    def master(self) -> tuple[str, int]:
        """Raises ``ConnectionError`` telling what each server said."""
        told = []
        for host, port in list(self._known):
            try:
                with redis.Redis(host, port, **self._options) as server:
                    ranges: Any = server.execute_command("CLUSTER", "SLOTS")
            except RedisError as error:
                told.append(f"{host}:{port}: {error}")
                continue
            for first, last, *servers in ranges:
                if first <= self._slot <= last:
                    there = [(_text(name) or host, int(number)) for name, number, *_ in servers]
                    self._known = list(dict.fromkeys([*there, *self._known]))
                    return there[0]
            told.append(f"{host}:{port}: no server has slot {self._slot}")
        raise RedisConnectionError("; ".join(told))


def _slot() -> int:
    """That of all our keys, and of RQ's."""
    prefix = key_prefix(os.environ)
    if not re.search(r"\{[^}]+\}", prefix):
        raise SettingsError(
            f"a Redis Cluster has to keep all keys in one slot: set {PREFIX}PREFIX={{disco}}, with the braces"
        )
    return int(key_slot(prefix.encode()))


def _text(host: Any) -> str:
    return host.decode() if isinstance(host, bytes) else host or ""


class _ClusterPool(redis.ConnectionPool):
    """Its connections go to the master of our slot."""

    def __init__(self, address: ClusterAddress, **options: Any) -> None:
        super().__init__(**options)
        self.servers = address.servers
        self.get_master_address = _Cluster(address).master
        self.connection_kwargs["connection_pool"] = weakref.proxy(self)


def open_client(url: str, **options: Any) -> redis.Redis:
    """A client of the Redis at an address, or of the master that the sentinels there name.

    ``options``: as ``redis.Redis`` takes them; those in the address win. Connects when it is first used.
    Raises ``SettingsError`` if it is no address.
    """
    check_scheme(url)
    options["parser_class"] = _Parser
    try:
        if is_sentinel(url):
            client = _master_client(sentinel_address(url), options)
        elif is_cluster(url):
            client = _cluster_client(cluster_address(url), options)
        else:
            client = redis.Redis.from_url(url, **options)
        pool = client.connection_pool
        pool.connection_class(**pool.connection_kwargs)  # makes none yet, but knows which options there are
    except (ValueError, TypeError) as error:  # a port that is no number, an option that is none
        raise no_address(url, error) from None
    return client


def _master_client(address: SentinelAddress, options: dict[str, Any]) -> redis.Redis:
    options_there = _of_sentinels(address) | {"retry": Retry(NoBackoff(), 0)}
    sentinels = _Sentinels(address.sentinels, sentinel_kwargs=options_there)  # type: ignore[no-untyped-call]
    options |= {
        **address.options,
        "connection_class": _MasterTLSConnection if address.tls else _MasterConnection,
    }
    pool = SentinelConnectionPool(address.service, sentinels, **options)  # type: ignore[no-untyped-call]
    return redis.Redis.from_pool(pool)


def _cluster_client(address: ClusterAddress, options: dict[str, Any]) -> redis.Redis:
    options |= {
        **address.options,
        "connection_class": _MasterTLSConnection if address.tls else _MasterConnection,
    }
    return redis.Redis.from_pool(_ClusterPool(address, **options))


def _of_sentinels(address: SentinelAddress) -> dict[str, Any]:
    waits = {"socket_connect_timeout": SENTINEL_TIMEOUT_S, "socket_timeout": SENTINEL_TIMEOUT_S}
    return {**address.sentinel_options, **waits, "ssl": address.tls}


class _AsyncParser(_AsyncHiredisParser):
    """The same for an event loop."""

    @classmethod
    def parse_error(cls, response: str) -> Exception:
        return _Parser.parse_error(response)


class _AsyncClusterConnection(redis.asyncio.Connection):
    """Asks for the master of our slot each time it connects."""

    def __init__(self, *, cluster: _Cluster, **options: Any) -> None:
        self._cluster = cluster
        super().__init__(**options)

    async def _connect(self) -> None:
        self.host, self.port = await asyncio.to_thread(self._cluster.master)
        await super()._connect()  # type: ignore[no-untyped-call]


class _AsyncClusterTLSConnection(_AsyncClusterConnection, redis.asyncio.SSLConnection):
    pass


class _AsyncPool(AsyncSentinelPool):
    """Its end is that of the connections to the sentinels, too."""

    async def disconnect(self, inuse_connections: bool = True) -> None:
        await super().disconnect(inuse_connections)
        for sentinel in self.sentinel_manager.sentinels:
            await sentinel.connection_pool.disconnect(inuse_connections)


def open_async_client(url: str, **options: Any) -> redis.asyncio.Redis:
    """The same for an event loop. An error is told at once, and the next command asks the sentinels again."""
    check_scheme(url)
    if is_cluster(url):
        in_cluster = cluster_address(url)
        options |= {**in_cluster.options, "parser_class": _AsyncParser}
        kind = _AsyncClusterTLSConnection if in_cluster.tls else _AsyncClusterConnection
        pool = redis.asyncio.ConnectionPool(connection_class=kind, cluster=_Cluster(in_cluster), **options)
        return redis.asyncio.Redis.from_pool(pool)
    if not is_sentinel(url):
        return redis.asyncio.Redis.from_url(url, **options)
    address = sentinel_address(url)
    options_there = _of_sentinels(address)
    sentinels = AsyncSentinel(address.sentinels, sentinel_kwargs=options_there)  # type: ignore[no-untyped-call]
    options |= {**address.options, "ssl": address.tls}
    watched = _AsyncPool(address.service, sentinels, **options)  # type: ignore[no-untyped-call]
    return redis.asyncio.Redis.from_pool(watched)
