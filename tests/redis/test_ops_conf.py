"""ops/redis.conf: a real server takes it, and keeps what it is told."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import redis

from disco_rq.machine.redisserver import find_server
from tests.redis.story import wait_until

CONF = Path(__file__).parents[2] / "ops" / "redis.conf"


@pytest.mark.parametrize("which", ["bundled", "debian"])
def test_a_real_server_takes_the_configuration(
    which: str, short_dir: Path, request: pytest.FixtureRequest
) -> None:
    program = find_server().path if which == "bundled" else request.getfixturevalue("redis_server")
    socket = short_dir / "s"
    options = ["--dir", str(short_dir), "--port", "0", "--unixsocket", str(socket)]
    server = subprocess.Popen([str(program), str(CONF), *options], stdout=subprocess.DEVNULL)
    try:
        wait_until(socket.exists)
        client = redis.Redis(unix_socket_path=str(socket))
        told: Any = client.config_get("maxmemory-policy", "appendonly", "appendfsync", "save")
        assert told == {
            "maxmemory-policy": "noeviction",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
        }
        client.close()
    finally:
        server.terminate()
        server.wait(timeout=10)
