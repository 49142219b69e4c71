"""Servers that are no Redis of one's own are named, with what to set there."""

from __future__ import annotations

from typing import Any

import pytest

from disco_rq.doctor.products import product_findings


@pytest.mark.parametrize(
    ("url", "info", "level", "told"),
    [
        ("redis://a", {"redis_version": "7.4.3", "garnet_version": "1.0"}, "fail", "no streams"),
        ("redis://a", {"dragonfly_version": "df-v1.35"}, "warn", "Dragonfly"),
        ("redis://a", {"executable": "/usr/bin/keydb-server"}, "warn", "KeyDB"),
        ("redis://a", {"os": "Amazon ElastiCache"}, "warn", "CONFIG SET"),
        ("rediss://m.x.cache.amazonaws.com:6379", {"os": "Linux"}, "warn", "ElastiCache"),
        ("rediss://:secret@x.upstash.io:6379", {}, "warn", "counts requests"),
    ],
)
def test_each_is_known_by_what_it_tells(url: str, info: dict[str, Any], level: str, told: str) -> None:
    [finding] = product_findings(url, info)

    assert finding.level == level
    assert told in finding.text
    assert finding.do


@pytest.mark.parametrize("url", ["redis://localhost", "unix:///run/redis.sock", "redis+cluster://a,b"])
def test_of_redis_and_valkey_nothing_is_said(url: str) -> None:
    assert product_findings(url, {"redis_version": "8.0", "os": "Linux", "executable": "/redis-server"}) == []
