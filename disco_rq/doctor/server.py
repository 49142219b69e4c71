"""The Redis server: whether it keeps what it is told, and has room."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from disco_rq.doctor.finding import Finding
from disco_rq.views.figures import size

__all__ = ["restart_findings", "server_findings", "unreached_server"]

SLOW_S = 0.05
FULL, NEARLY_FULL = 0.95, 0.8
SKEW_MS = 2_000
_START_IT = "start it, or name another with --redis or DISCO_RQ_REDIS; look at its log, and at firewalls"
_WHAT_TO_DO = {
    "refuses the login": "put the login into the address: redis://USER:PASSWORD@HOST:PORT/0",
    "is version": "upgrade it, or name another with --redis or DISCO_RQ_REDIS",
    "BUSY ": "somebody's script runs there: 'redis-cli SCRIPT KILL', if it does not end",
    "certificate is not valid for": "name in the address the host that its certificate is for",
    "CERTIFICATE_VERIFY_FAILED": "name in ?ssl_ca_certs= the authority that signed it",
    "DB index is out of range": "name a database that it has: /0 at the end of the address",
}


def unreached_server(why: str) -> str:
    """What to do about a server that cannot be used, by what the connection says."""
    return next((do for words, do in _WHAT_TO_DO.items() if words in why), _START_IT)


def server_findings(
    address: str, info: Mapping[str, Any], round_trip_s: float, skew_ms: int
) -> list[Finding]:
    """``info``: what INFO tells. ``skew_ms``: how far the clock here is ahead of the server's."""
    return [
        _answers(address, info, round_trip_s),
        *_persistence(info),
        _eviction(info),
        _memory(info),
        _clock(skew_ms),
    ]


def _answers(address: str, info: Mapping[str, Any], round_trip_s: float) -> Finding:
    named = f"Redis {info.get('redis_version', 'of an unknown version')}"
    for make in ("Valkey", "Dragonfly", "Garnet"):
        named = f"{make} {version}" if (version := info.get(f"{make.lower()}_version")) else named
    if info.get("role") == "slave" and info.get("slave_read_only", 1):
        of = f"{info.get('master_host')}:{info.get('master_port')}"
        do = f"name its master, {of}, or the sentinels that know it: redis+sentinel://"
        return Finding("fail", "redis", f"{named} at {address} is a replica and takes no writes", do)
    text = f"{named} at {address} answers in {round_trip_s * 1000:.1f} ms"
    if round_trip_s < SLOW_S:
        return Finding("ok", "redis", text)
    return Finding("warn", "redis", text, "each step of a task waits for it: run nodes and masters near it")


def _persistence(info: Mapping[str, Any]) -> Iterator[Finding]:
    if info.get("loading"):
        yield Finding("fail", "persistence", "it is loading its data", "wait until it has")
    if info.get("aof_enabled") and info.get("aof_last_write_status", "ok") != "ok":
        do = "look at its log and its disk: it refuses writes until it can keep them"
        yield Finding("fail", "persistence", "the append-only file cannot be written", do)
        return
    if info.get("rdb_last_bgsave_status", "ok") != "ok":  # also where there is an append-only file
        text = "its last snapshot failed: it refuses writes until one succeeds, unless 'save' is empty"
        yield Finding("fail", "persistence", text, "look at its log and its disk")
        return
    if info.get("aof_enabled"):
        yield Finding("ok", "persistence", "append-only file")
        return
    do = "CONFIG SET appendonly yes, and the same in redis.conf"
    yield Finding("warn", "persistence", "no append-only file: a restart loses the latest, or all jobs", do)


def restart_findings(default_user: Mapping[str, Any], info: Mapping[str, Any]) -> Iterator[Finding]:
    """Whether a restart would keep what scripts wrote. ``default_user``: what ACL GETUSER tells of it.

    Redis reads its append-only file as the user ``default``, also where nobody can log in as that, and drops
    the transactions that it is not let: https://github.com/redis/redis/issues/14541. Valkey does not.
    """
    may_all = "+@all" in default_user.get("categories", [])
    has_all_keys = not {"~*", "*"}.isdisjoint(default_user.get("keys", []))  # Redis 6 tells them as *
    if not info.get("aof_enabled") or "valkey_version" in info or (may_all and has_all_keys):
        return
    do = "before it restarts: ACL SETUSER default off allcommands allkeys allchannels, and so in its file"
    text = "the user default lacks rights that the append-only file is read with: a restart would lose jobs"
    yield Finding("fail", "restart", text, do)


def _eviction(info: Mapping[str, Any]) -> Finding:
    policy = str(info.get("maxmemory_policy", ""))
    if policy == "noeviction":
        return Finding("ok", "eviction", "noeviction")
    do = "CONFIG SET maxmemory-policy noeviction, and the same in redis.conf"
    text = f"{policy}: a full server would delete parts of jobs"
    return Finding("fail" if info.get("maxmemory") else "warn", "eviction", text, do)


def _memory(info: Mapping[str, Any]) -> Finding:
    used, most = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    total = int(info.get("total_system_memory", 0))
    text = f"{size(used)} used of "
    if not most:
        if total and used > NEARLY_FULL * total:
            do = "purge old jobs, or set maxmemory below what the machine has"
            return Finding("warn", "memory", f"{text}the machine's {size(total)}, no maxmemory", do)
        return Finding("ok", "memory", f"{size(used)} used, no maxmemory")
    text += f"{size(most)} (maxmemory)"
    do = "'disco-rq purge --older 7d', DISCO_RQ_GC_AFTER on the masters, or a higher maxmemory"
    if used > FULL * most:
        return Finding("fail", "memory", text, do)
    return Finding("warn", "memory", text, do) if used > NEARLY_FULL * most else Finding("ok", "memory", text)


def _clock(skew_ms: int) -> Finding:
    if abs(skew_ms) < SKEW_MS:
        return Finding("ok", "clock here", "as the server's")
    text = f"{abs(skew_ms) / 1000:.0f} s {'ahead of' if skew_ms > 0 else 'behind'} the server's"
    return Finding("warn", "clock here", text, "run NTP: names of jobs and times of files mislead until then")
