"""The health checks of Redis in ops/: one that still reads its append-only file is alive, and not ready."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.conftest import require_program
from tests.containers import compose
from tests.kubernetes import container, plain
from tests.services import TcpServer, free_port, without_placeholders

READY = ("compose", "readinessProbe")
SETS, DELAY_US = 200_000, 50
"""Reading takes ten seconds, unless it is told to wait no more."""


def probes() -> dict[str, str]:
    """Each as the line for a shell that it is."""
    shell, line = compose()["services"]["redis"]["healthcheck"]["test"]
    assert shell == "CMD-SHELL"
    found = {"compose": line}
    server: dict[str, Any] = container(plain("StatefulSet", "redis"))
    for name in ("readinessProbe", "livenessProbe"):
        shell, option, found[name] = server[name]["exec"]["command"]
        assert (shell, option) == ("sh", "-c")
    return found


def write_append_only_file(home: Path) -> None:
    directory = home / "appendonlydir"
    directory.mkdir(parents=True)
    (directory / "appendonly.aof.manifest").write_text("file appendonly.aof.1.incr.aof seq 1 type i\n")
    one = "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n"
    (directory / "appendonly.aof.1.incr.aof").write_bytes(one.encode() * SETS)


@pytest.fixture
def loading(short_dir: Path) -> Iterator[TcpServer]:
    """A server that needs a while to read what it has."""
    require_program("redis-cli")
    (short_dir / "users.conf").write_text(without_placeholders("users.conf", {"admin": "secret"}))
    port = free_port()
    write_append_only_file(short_dir / f"server-{port}")
    options = ("--appendonly", "yes", "--key-load-delay", str(DELAY_US))
    users = ("--include", str(short_dir / "users.conf"))
    with TcpServer(short_dir, *options, *users, binary=require_program("redis-server"), port=port) as server:
        yield server


def test_one_that_reads_its_append_only_file_is_alive_and_not_ready(
    loading: TcpServer, short_dir: Path
) -> None:
    def passing() -> set[str]:
        asked = {name: subprocess.Popen(["sh", "-c", line]) for name, line in lines.items()}
        return {name for name, probe in asked.items() if probe.wait(30) == 0}

    at = f"redis-cli -p {loading.port}"
    lines = {
        name: re.sub(r"/run/secrets/\S*users\.conf", str(short_dir / "users.conf"), line).replace(
            "redis-cli", at
        )
        for name, line in probes().items()
    }

    assert passing() == {"livenessProbe"}

    with redis.Redis.from_url(loading.url("admin:secret@")) as admin:
        admin.config_set("key-load-delay", 0)
    deadline = time.monotonic() + 10
    while passing() != {"livenessProbe", *READY}:
        assert time.monotonic() < deadline, loading.log.read_text()


def test_one_that_does_not_answer_passes_none() -> None:
    at = f"redis-cli -p {free_port()}"
    for line in probes().values():
        told = subprocess.run(["sh", "-c", line.replace("redis-cli", at)], capture_output=True)
        assert told.returncode != 0
