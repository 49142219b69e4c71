"""Clients of Redis, made here and nowhere else, so that all of them follow a failover.

What a server says that is not the master any more, or not yet, or that takes nothing for a while, since a
script keeps it busy or its disk is full, is a lost connection: it is closed, and the command asked again on a
new one, which goes to the master that the sentinels name then.
"""

from __future__ import annotations

import re
from typing import Any

import redis
import redis.asyncio
from redis._parsers import _HiredisParser
from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.asyncio.sentinel import SentinelConnectionPool as AsyncSentinelPool
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel, SentinelConnectionPool

from disco_rq.store.address import SentinelAddress, check_scheme, is_sentinel, no_address, sentinel_address

SENTINEL_TIMEOUT_S = 1.0
"""For how long one sentinel is waited for, before the next one is asked."""

# At the beginning of an error, or, from Redis 6.2, of that of a command within a script.
_TAKES_NOTHING = re.compile(r"(?:^|: -?)(?:BUSY|MISCONF|READONLY|UNBLOCKED|NOREPLICAS|MASTERDOWN|LOADING) ")


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


def _of_sentinels(address: SentinelAddress) -> dict[str, Any]:
    waits = {"socket_connect_timeout": SENTINEL_TIMEOUT_S, "socket_timeout": SENTINEL_TIMEOUT_S}
    return {**address.sentinel_options, **waits, "ssl": address.tls}


class _AsyncPool(AsyncSentinelPool):
    """Its end is that of the connections to the sentinels, too."""

    async def disconnect(self, inuse_connections: bool = True) -> None:
        await super().disconnect(inuse_connections)
        for sentinel in self.sentinel_manager.sentinels:
            await sentinel.connection_pool.disconnect(inuse_connections)


def open_async_client(url: str, **options: Any) -> redis.asyncio.Redis:
    """The same for an event loop. An error is told at once, and the next command asks the sentinels again."""
    check_scheme(url)
    if not is_sentinel(url):
        return redis.asyncio.Redis.from_url(url, **options)
    address = sentinel_address(url)
    options_there = _of_sentinels(address)
    sentinels = AsyncSentinel(address.sentinels, sentinel_kwargs=options_there)  # type: ignore[no-untyped-call]
    options |= {**address.options, "ssl": address.tls}
    pool = _AsyncPool(address.service, sentinels, **options)  # type: ignore[no-untyped-call]
    return redis.asyncio.Redis.from_pool(pool)
