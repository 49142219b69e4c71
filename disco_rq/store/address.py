"""The address of a Redis: what it names, and how it is shown.

``redis://``, ``rediss://`` (TLS) and ``unix://`` are read by redis-py. Those of Sentinel, which it does not
know, name the sentinels and what they call the master:
``redis+sentinel://[user:password@]host:26379,host:26379,host:26379/mymaster[/db][?options]``. Those of a
Redis Cluster name some of its servers: ``redis+cluster://[user:password@]host:6379,host:6379[?options]``.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

import redis
from redis.connection import parse_url
from redis.sentinel import SentinelConnectionPool

from disco_rq.errors import SettingsError

SENTINEL_PORT = 26379
SERVER_PORT = 6379
_SCHEMES = ("redis://", "rediss://", "unix://")
_SENTINEL_SCHEMES = ("redis+sentinel://", "rediss+sentinel://")
_CLUSTER_SCHEMES = ("redis+cluster://", "rediss+cluster://")
_CLUSTER_FORM = "redis+cluster://HOST:6379,HOST:6379,HOST:6379"
_SENTINEL_FORM = "redis+sentinel://HOST:26379,HOST:26379,HOST:26379/SERVICE"
_SECRET = re.compile(r"(?i)password")
_HOST = re.compile(r"(?:\[(?P<ipv6>[^\]]+)\]|(?P<name>[^:\[\]]+))(?::(?P<port>.*))?")
_REQUIRED = {ssl.CERT_NONE: "none", ssl.CERT_OPTIONAL: "optional", ssl.CERT_REQUIRED: "required"}


@dataclass(frozen=True, slots=True)
class SentinelAddress:
    """The sentinels, and the service whose master they know."""

    sentinels: tuple[tuple[str, int], ...]
    service: str
    tls: bool  # to the sentinels and to the servers
    options: Mapping[str, Any] = field(repr=False)  # of connections to the servers, as redis-py takes them
    sentinel_options: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class ClusterAddress:
    """Some servers of a Redis Cluster, of which any tells where the keys are."""

    servers: tuple[tuple[str, int], ...]
    tls: bool
    options: Mapping[str, Any] = field(repr=False)


def shown_address(url: str) -> str:
    """The address without its passwords, for messages and logs."""
    try:
        parts = urlsplit(url)
    except ValueError:  # "redis://[::1"
        return url.partition("://")[0] + "://…"
    if parts.scheme != "unix" and "@" in parts.path + parts.query + parts.fragment:
        return f"{parts.scheme}://…"  # a password with / ? or # in it
    shown = url
    if parts.password is not None:
        host = parts.netloc.rpartition("@")[2]
        shown = url.replace(parts.netloc, f"{parts.username or ''}:***@{host}", 1)
    place, mark, query = shown.partition("?")
    return place + mark + "&".join("***" if _SECRET.search(unquote(it)) else it for it in query.split("&"))


def is_sentinel(url: str) -> bool:
    """Whether the address names sentinels."""
    return url.startswith(_SENTINEL_SCHEMES)


def is_cluster(url: str) -> bool:
    """Whether the address names servers of a Redis Cluster."""
    return url.startswith(_CLUSTER_SCHEMES)


def check_scheme(url: str) -> None:
    """Raise ``SettingsError`` for what is no address of a Redis at all."""
    if not url.startswith(_SCHEMES + _SENTINEL_SCHEMES + _CLUSTER_SCHEMES):
        raise no_address(
            url,
            "it takes redis://, rediss://, unix://, redis+sentinel:// and rediss+sentinel:// for Sentinel, "
            "or redis+cluster:// and rediss+cluster:// for a Redis Cluster",
        )
    # redis-py would take database 0.
    database = url.partition("://")[2].partition("?")[0].partition("/")[2]
    if url.startswith(("redis://", "rediss://")) and database and not database.isdecimal():
        raise no_address(url, f"{database!r} is no number of a database")


def no_address(url: str, why: object) -> SettingsError:
    """The error for an address that is wrong."""
    if shown_address(url).endswith("://…"):  # then the reason may show a part of a password
        why = (
            "the signs @ : / ? # in a login are written %40 %3A %2F %3F %23, and an IPv6 address in brackets"
        )
    return SettingsError(f"{shown_address(url)!r} is no Redis address: {why}")


def sentinel_address(url: str) -> SentinelAddress:
    """Read an address for which ``is_sentinel`` holds. Raises ``SettingsError`` naming what is wrong."""
    scheme, _, rest = url.partition("+sentinel://")
    before, _, query = rest.partition("?")
    netloc, _, path = before.partition("/")
    login, _, hosts = netloc.rpartition("@")
    service, _, database = path.partition("/")
    if not hosts:
        raise no_address(url, f"it names no sentinel; it looks like {_SENTINEL_FORM}")
    if not service:
        raise no_address(
            url, f"it does not say what the sentinels call the master; it looks like {_SENTINEL_FORM}"
        )
    if database and not database.isdecimal():
        raise no_address(url, f"{database!r} behind the service {service!r} is no number of a database")
    pairs = parse_qsl(query, keep_blank_values=True)
    own = {name.removeprefix("sentinel_"): value for name, value in pairs if name.startswith("sentinel_")}
    if own.keys() - {"username", "password"}:
        raise no_address(
            url, "of what begins with sentinel_ it takes sentinel_username and sentinel_password"
        )
    others = [(name, value) for name, value in pairs if not name.startswith("sentinel_")]
    options = _options(url, scheme, login, database, others)
    tls_options = {name: value for name, value in options.items() if name.startswith("ssl_")}
    return SentinelAddress(
        sentinels=tuple(
            _host_and_port(url, entry, "sentinels", SENTINEL_PORT, _SENTINEL_FORM)
            for entry in hosts.split(",")
        ),
        service=unquote(service),
        tls=scheme == "rediss",
        options=options,
        sentinel_options=own | tls_options,
    )


def cluster_address(url: str) -> ClusterAddress:
    """Read an address for which ``is_cluster`` holds. Raises ``SettingsError`` naming what is wrong."""
    scheme, _, rest = url.partition("+cluster://")
    before, _, query = rest.partition("?")
    netloc, _, database = before.partition("/")
    login, _, hosts = netloc.rpartition("@")
    if not hosts:
        raise no_address(url, f"it names no server; it looks like {_CLUSTER_FORM}")
    if database not in ("", "0"):
        raise no_address(url, "a Redis Cluster has database 0 only")
    servers = tuple(
        _host_and_port(url, entry, "servers", SERVER_PORT, _CLUSTER_FORM) for entry in hosts.split(",")
    )
    options = _options(url, scheme, login, "", parse_qsl(query, keep_blank_values=True))
    return ClusterAddress(servers, scheme == "rediss", options)


def _options(
    url: str, scheme: str, login: str, database: str, query: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    """What redis-py takes for a connection to one of several servers."""
    try:
        as_one = f"{scheme}://{login and login + '@'}server/{database}?{urlencode(query)}"
        options: dict[str, Any] = parse_url(as_one)  # type: ignore[no-untyped-call]
    except ValueError as error:
        raise no_address(url, error) from None
    for name in ("host", "connection_class"):
        options.pop(name, None)
    return options


def rq_sentinel(url: str) -> dict[str, Any]:
    """The same as RQ's settings have it, under the name SENTINEL."""
    address = sentinel_address(url)
    return {
        "INSTANCES": list(address.sentinels),
        "MASTER_NAME": address.service,
        "SSL": address.tls,
        "CONNECTION_KWARGS": {"socket_timeout": None, **address.options},
        "SENTINEL_KWARGS": {**address.sentinel_options, "ssl": address.tls},
    }


def _host_and_port(url: str, entry: str, what: str, usual_port: int, form: str) -> tuple[str, int]:
    found = _HOST.fullmatch(entry)
    if found is None:
        raise no_address(url, f"{entry!r} among its {what} is no HOST:PORT; it looks like {form}")
    port = found["port"]
    if port is None:
        port = str(usual_port)
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise no_address(url, f"the port of {entry!r} is no number from 1 to 65535")
    return unquote(found["ipv6"] or found["name"]), int(port)


def url_of(client: redis.Redis) -> str:
    """The address of a client that somebody else made, for connections of our own."""
    pool = client.connection_pool
    options = pool.connection_kwargs
    login = ""
    if options.get("password"):
        login = f"{quote(options.get('username') or '', safe='')}:{quote(options['password'], safe='')}@"
    database = options.get("db") or 0
    if "path" in options:
        return f"unix://{login}{quote(options['path'])}?db={database}"
    scheme, query = "redis", {}
    if issubclass(pool.connection_class, redis.SSLConnection):
        scheme, query = "rediss", _tls_options(options)
    servers: Any = getattr(pool, "servers", None)
    if servers:  # of a Redis Cluster
        place = f"{scheme}+cluster://{login}{','.join(_shown(*one) for one in servers)}"
    elif isinstance(pool, SentinelConnectionPool):
        known = [one.connection_pool.connection_kwargs for one in pool.sentinel_manager.sentinels]
        hosts = ",".join(_shown(it["host"], it["port"]) for it in known)
        query |= {
            f"sentinel_{name}": known[0][name] for name in ("username", "password") if known[0].get(name)
        }
        place = f"{scheme}+sentinel://{login}{hosts}/{quote(pool.service_name, safe='')}/{database}"
    else:
        host = _shown(options.get("host", "localhost"), options.get("port", 6379))
        place = f"{scheme}://{login}{host}/{database}"
    return f"{place}?{urlencode(query)}" if query else place


def with_database(url: str, database: int) -> str:
    """The same server, another database of it."""
    place, _, query = url.partition("?")
    scheme, _, rest = place.partition("://")
    kept = [option for option in query.split("&") if option and not option.startswith("db=")]
    if scheme == "unix":
        return f"{place}?{'&'.join([*kept, f'db={database}'])}"
    netloc, _, path = rest.partition("/")
    service = f"/{path.partition('/')[0]}" if is_sentinel(url) else ""
    return f"{scheme}://{netloc}{service}/{database}{'?' if kept else ''}{'&'.join(kept)}"


def _shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _tls_options(options: Mapping[str, Any]) -> dict[str, str]:
    """What such a client was told of certificates, as an address can say it."""
    told = {name: value for name, value in options.items() if name.startswith("ssl_")}
    if told.get("ssl_cert_reqs") in _REQUIRED:
        told["ssl_cert_reqs"] = _REQUIRED[told["ssl_cert_reqs"]]
    return {name: str(value) for name, value in told.items() if isinstance(value, str | bool | int)}
