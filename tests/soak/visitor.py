"""Somebody who looks at the web page now and then, and leaves in the middle of a stream."""

from __future__ import annotations

import http.client
import random
import time
import urllib.request
from urllib.parse import quote

from disco_rq import Disco, DiscoError

WATCHED_S = 1.5


def look(disco: Disco, chance: random.Random) -> None:
    """Fetch a few pages and watch a stream for a moment. A page that is away with its master is no matter."""
    try:
        base = disco.http_url
        jobs = [name for _, _, name in disco.joblist()[:5]]
        paths = ["/", "/nodes", "/metrics", "/healthz", "/api/v1/cluster", "/api/v1/jobs"]
        paths += [f"/api/v1/jobs/{quote(name)}{more}" for name in jobs for more in ("", "/tasks", "/events")]
        for path in chance.sample(paths, k=min(4, len(paths))):
            _read(base + path)
        stream = f"/api/v1/jobs/{quote(chance.choice(jobs))}/stream" if jobs else "/api/v1/stream"
        _watch(base + chance.choice([stream, "/api/v1/stream"]))
    except (OSError, http.client.HTTPException, DiscoError):
        return


def _read(url: str) -> None:
    with urllib.request.urlopen(url, timeout=5) as answer:
        answer.read()


def _watch(url: str) -> None:
    until = time.monotonic() + WATCHED_S
    with urllib.request.urlopen(url, timeout=WATCHED_S) as answer:
        while time.monotonic() < until and answer.readline():
            pass
