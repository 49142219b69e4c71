"""Servers that speak Redis' protocol and are something else, or are managed: what to set, what they lack.

Looked up in their documentation on 2026-11-29, see the manual; only Redis and Valkey are run by our tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from disco_rq.doctor.finding import Finding

__all__ = ["product_findings"]

_PARAMETERS = "a parameter group with maxmemory-policy noeviction"
_CLUSTER = "with cluster mode, DISCO_RQ_PREFIX={disco} and redis+cluster://"
_FOUND = {
    "Garnet": Finding(
        "fail", "product", "Garnet has no streams, in which events are kept", "use Redis or Valkey"
    ),
    "Dragonfly": Finding(
        "warn",
        "product",
        "Dragonfly was never tried with this",
        "set --cache_mode=false and snapshots; and run a job that is killed in the middle first",
    ),
    "KeyDB": Finding(
        "warn",
        "product",
        "KeyDB was never tried with this",
        "no multi-master and no active-replica: two masters of disco-rq would lead; appendonly yes",
    ),
    "Amazon ElastiCache": Finding(
        "warn",
        "product",
        "Amazon ElastiCache refuses CONFIG SET, and was never tried with this",
        f"{_PARAMETERS}; {_CLUSTER}",
    ),
    "Google Memorystore": Finding(
        "warn",
        "product",
        "Google Memorystore refuses CONFIG SET, and was never tried with this",
        "gcloud redis instances update --update-redis-config maxmemory-policy=noeviction; AOF persistence",
    ),
    "Upstash": Finding(
        "warn",
        "product",
        "Upstash was never tried with this, and counts requests: an idle worker makes some each second",
        "a plan with a fixed price, in the region of the nodes; eviction off",
    ),
}


def product_findings(url: str, info: Mapping[str, Any]) -> list[Finding]:
    """What is said of the server's make, as INFO or its address tells it; nothing of Redis and Valkey."""
    name = _product(urlsplit(url).hostname or "", info)
    return [_FOUND[name]] if name else []


def _product(host: str, info: Mapping[str, Any]) -> str:
    if "garnet_version" in info:
        return "Garnet"
    if "dragonfly_version" in info:
        return "Dragonfly"
    if "keydb" in str(info.get("executable", "")).lower() or "mvcc_depth" in info:
        return "KeyDB"
    system = str(info.get("os", ""))
    if "ElastiCache" in system or host.endswith(".cache.amazonaws.com"):
        return "Amazon ElastiCache"
    if "Memorystore" in system:
        return "Google Memorystore"
    return "Upstash" if host.endswith(".upstash.io") or "upstash_version" in info else ""
