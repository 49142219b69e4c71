"""ops/compose.yaml, played without containers: each service is a process that gets what it would get."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from urllib.error import HTTPError

import pytest

from disco_rq.machine.redisserver import private_directory
from disco_rq.settings import PREFIX
from tests.cluster.conftest import wait_until
from tests.conftest import require_program
from tests.containers import compose, environment_of, image_health, make_secrets
from tests.services import OPS, TcpServer, free_port

SERVICES = compose()["services"]
NODES = ("node-1", "node-2")
END_TIMEOUT_S = 20


class Play:
    """The services as processes, on ports of their own, with directories where containers have volumes."""

    def __init__(self, directory: Path, redis: TcpServer, secrets: Path) -> None:
        self.directory = directory
        self.redis = redis
        self.ports = {name: free_port() for name in ("page", *NODES)}
        self._secrets = secrets
        self.running = {
            "master": self._start("master", HTTP=self.at("page")),
            "standby": self._start("standby", HTTP="127.0.0.1:0"),
            **{name: self.start_node(name) for name in NODES},
        }

    def at(self, name: str) -> str:
        return f"127.0.0.1:{self.ports[name]}"

    def start_node(self, name: str) -> subprocess.Popen[bytes]:
        """What Docker gives each container: a name, and a volume."""
        return self._start("node", NODE=name, DATA=str(self.directory / name), DATA_HTTP=self.at(name))

    def client(self, *arguments: str) -> str:
        """What ``docker compose run client`` would print."""
        command = [sys.executable, "-m", "disco_rq.cli", *arguments]
        done = subprocess.run(command, env=self._environment("client"), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def slots(self) -> dict[str, int]:
        nodes = json.loads(self.client("nodes", "--json"))["available"]
        return {node["node"]: node["max_workers"] for node in nodes}

    def is_healthy(self, health: Sequence[str], port: int, at: int) -> bool:
        """What a health check says that asks there, not at the container's port."""
        words = [word.replace(str(port), str(at)) for word in health]
        program = sys.executable if words[0] == "python" else words[0]
        return subprocess.run([program, *words[1:]], capture_output=True).returncode == 0

    def _start(self, service: str, **of_its_own: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "disco_rq.cli", *SERVICES[service]["command"]]
        return subprocess.Popen(command, env=self._environment(service, **of_its_own))

    def _environment(self, service: str, **of_its_own: str) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        told = environment_of(service, self._secrets)
        told["DISCO_RQ_REDIS"] = told["DISCO_RQ_REDIS"].replace("redis:6379", f"127.0.0.1:{self.redis.port}")
        return clean | told | {PREFIX + name: value for name, value in of_its_own.items()}


@pytest.fixture(scope="module")
def play() -> Iterator[Play]:
    """All services, ready; those that a test has not ended end well after it."""
    program, conf, include, users, *rest = SERVICES["redis"]["command"]
    assert (program, include, rest) == ("redis-server", "--include", ["--bind", "*", "--dir", "/data"])
    assert f"./redis.conf:{conf}:ro" in SERVICES["redis"]["volumes"]
    with ExitStack() as stack:
        directory = private_directory()
        stack.callback(shutil.rmtree, directory)
        secrets = make_secrets(directory)
        options = [str(OPS / "redis.conf"), include, users.replace("/run/secrets", str(secrets))]
        binary = require_program("redis-server")
        redis = stack.enter_context(TcpServer(directory, *options, binary=binary))
        play = Play(directory, redis, secrets)
        for process in play.running.values():
            stack.callback(process.wait, END_TIMEOUT_S)
            stack.callback(process.terminate)
        wait_until(lambda: play.slots() == dict.fromkeys(NODES, int(SERVICES["node"]["command"][-1])), 30)
        yield play


def test_a_client_runs_a_job_that_is_signed_and_read_from_other_containers(play: Play) -> None:
    inputs = [f"raw://word{i} word" for i in range(8)]
    lines = play.client("run", "disco_rq.examples.wordcount", *inputs).splitlines()
    assert sorted(lines) == sorted(["word\t8", *(f"word{i}\t1" for i in range(8))])


def test_the_page_wants_a_token_and_a_client_knows_it(play: Play) -> None:
    url = f"http://{play.at('page')}/api/v1/nodes"
    with pytest.raises(HTTPError) as refused:
        urllib.request.urlopen(url)
    assert refused.value.code == 401
    refused.value.close()
    token = play.client("web-token", "--viewer").strip()
    with urllib.request.urlopen(
        urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    ) as page:
        told = page.read().decode()
    assert all(name in told for name in NODES)


def test_the_health_checks_tell_who_answers(play: Play) -> None:
    nobody = free_port()
    _, *master = SERVICES["master"]["healthcheck"]["test"]
    assert wait_until(lambda: play.is_healthy(master, 8989, play.ports["page"]))
    assert not play.is_healthy(master, 8989, nobody)
    assert wait_until(lambda: play.is_healthy(image_health(), 8990, play.ports["node-1"]))
    assert not play.is_healthy(image_health(), 8990, nobody)


def test_a_service_that_is_stopped_ends_well(play: Play) -> None:
    for service in ("standby", "node-2"):
        play.running[service].terminate()
        assert play.running[service].wait(END_TIMEOUT_S) == 0
