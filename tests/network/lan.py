"""A cluster of several hosts: network namespaces with addresses of their own, on a wire that can be cut.

``head`` has Redis and a master, ``a`` and ``b`` are nodes, ``client`` submits. None sees the files of a node
but the node itself, nor any network but this one.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from disco_rq.machine.redisserver import find_server, private_directory
from tests.network.client import JobOf
from tests.network.wire import Wire, open_tun
from tests.nodes import MARK, Part, marked, send

HOSTS = {"head": "198.18.77.1", "a": "198.18.77.2", "b": "198.18.77.3", "client": "198.18.77.4"}
"""Of a range that is set aside for trials of networks (RFC 2544)."""
NODES = ("a", "b")
REDIS_PORT, DATA_PORT = 6379, 8990
START_TIMEOUT_S = 60.0
END_TIMEOUT_S = 10.0
ESTABLISHED = "01"
USED_TIMEOUT_S = 60.0
_NAMESPACE = re.compile(r"drq-(\d+)-\w+")


class NotAllowed(Exception):
    """No network can be made here, and why."""


class Lan:
    """The hosts, and what runs on them. Each part of it writes to a log in ``directory``."""

    def __init__(self) -> None:
        """Raises ``NotAllowed``. No program runs yet."""
        self.directory = private_directory()
        self.mark, password = secrets.token_hex(8), secrets.token_hex(8)
        self.redis_url = f"redis://:{password}@{HOSTS['head']}:{REDIS_PORT}/0"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("DISCO_RQ_")},
            "DISCO_RQ_REDIS": self.redis_url,
            "DISCO_RQ_SECRET": secrets.token_hex(16),
            "DISCO_RQ_HTTP": "off",
            MARK: self.mark,
            "SPT_NOENV": "1",  # as in tests.nodes
        }
        self.wire = Wire()
        self.parts: dict[str, Part] = {}
        self._redis_options = [
            "--requirepass",
            password,
            "--bind",
            HOSTS["head"],
            "--dir",
            str(self.directory),
        ]
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    def _build(self) -> None:
        _remove_old()
        for number, (host, address) in enumerate(HOSTS.items()):
            device = f"drq{os.getpid()}.{number}"
            try:
                fd = open_tun(device)
            except OSError as error:
                raise NotAllowed(f"no TUN device can be made: {error}") from None
            self.wire.plug(host, address, fd)
            _ip("netns", "add", _namespace(host))
            _ip("link", "set", device, "netns", _namespace(host))
            _ip("-n", _namespace(host), "link", "set", "lo", "up")
            _ip("-n", _namespace(host), "addr", "add", f"{address}/24", "dev", device)
            _ip("-n", _namespace(host), "link", "set", device, "up")
        for node in NODES:
            self.data(node).mkdir()
        self.wire.start()

    def data(self, node: str) -> Path:
        """The directory of a node's files."""
        return self.directory / f"data-{node}"

    def nr_outputs(self, node: str, job: str) -> int:
        """How many maps of a job have written their output on a node."""
        return sum(path.suffix != ".log" for path in (self.data(node) / job).glob("map-*"))

    def _on(self, host: str) -> list[str]:
        """What to put before a command, so that it runs on the host: not to see the files of the others."""
        hidden = " && ".join(f"mount -t tmpfs none {self.data(node)}" for node in NODES if node != host)
        inside = ["sh", "-c", f'{hidden} && exec "$@"', "sh"]  # in a mount namespace of `ip netns exec`
        return [_ip_path(), "netns", "exec", _namespace(host), *inside]

    # -- its programs

    def start(self) -> None:
        """Start Redis, the master and the nodes; return when they can run tasks."""
        server = [str(find_server().path), *self._redis_options]
        server += ["--port", str(REDIS_PORT), "--appendonly", "yes", "--save", ""]
        self.parts["redis"] = Part("redis", server, self, prefix=self._on("head"), is_python=False)
        self.parts["master"] = self.program("head", "master", ["disco_rq.cli", "master"])
        for node in NODES:
            options = ["--node", node, "--slots", "1", "--data", str(self.data(node))]
            options += ["--data-http", f"{HOSTS[node]}:{DATA_PORT}"]
            self.parts[node] = self.program(node, node, ["disco_rq.cli", "node", *options])
        deadline = time.monotonic() + START_TIMEOUT_S
        while not all(self.parts[node].horses() for node in NODES):
            self.keep()
            assert time.monotonic() < deadline, f"a node did not start: {self.said()}"
            time.sleep(0.02)

    def program(self, host: str, name: str, arguments: Sequence[str]) -> Part:
        """Start a Python program on a host: a module, and its arguments."""
        return Part(name, arguments, self, prefix=self._on(host))

    def keep(self) -> None:
        """Start again what left because it did not reach Redis, as its host would."""
        for name in self.parts.keys() & {"master", *NODES}:
            part = self.parts[name]
            if not part.is_running and "cannot be reached" in part.last_words:
                part.start()

    def said(self) -> str:
        """What every program has logged."""
        return "\n".join(f"{part.name}: {part.said}" for part in self.parts.values())

    def close(self) -> None:
        """End every process, and take the hosts away."""
        for part in self.parts.values():
            part.kill()  # Redis too, which writes its title over its environment
        deadline = time.monotonic() + END_TIMEOUT_S
        while left := list(marked(self.mark)):
            assert time.monotonic() < deadline, f"processes that cannot be killed: {left}"
            for process in left:
                send(process, signal.SIGKILL)
            time.sleep(0.01)
        for host in HOSTS:
            with contextlib.suppress(NotAllowed):
                _ip("netns", "del", _namespace(host))
        self.wire.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    # -- its client

    def run(self, job: JobOf) -> Client:
        """Submit a job; the client that waits for its answer."""
        return self._begun("run", *job.options())

    def connect(self, host: str, port: int) -> Client:
        """A client that is connected to that, and says nothing."""
        return self._begun("hold", HOSTS[host], str(port))

    def _begun(self, *arguments: str) -> Client:
        client = self._client(*arguments)
        deadline = time.monotonic() + START_TIMEOUT_S
        while "\n" not in client.part.said:
            assert time.monotonic() < deadline, f"the client does not begin: {client.part.said}"
            time.sleep(0.01)
        return client

    def wait(self, job: str) -> Client:
        """A client that waits for the answer of a job which another one submitted."""
        return self._client("wait", job)

    def _client(self, *arguments: str) -> Client:
        name = f"client-{len(self.parts)}"
        self.parts[name] = self.program("client", name, ["tests.network.client", *arguments])
        return Client(self, self.parts[name])

    def peers(self, node: str) -> set[str]:
        """The addresses to which the host of a node holds connections."""
        lines = Path(f"/proc/{self.parts[node].pid}/net/tcp").read_text().splitlines()[1:]
        open_ones = [line.split() for line in lines if line.split()[3] == ESTABLISHED]
        return {socket.inet_ntoa(bytes.fromhex(line[2].partition(":")[0])[::-1]) for line in open_ones}

    def wait_until_used(self) -> None:
        """Return when both nodes are given tasks."""
        deadline = time.monotonic() + USED_TIMEOUT_S
        job = JobOf(maps=4, seconds=0.2)
        while self.run(job).answer()["hosts"]["map"] != list(NODES):
            assert time.monotonic() < deadline, f"a node is not used: {self.said()}"


@dataclass(frozen=True)
class Client:
    """A program of the client that is under way."""

    lan: Lan
    part: Part

    @property
    def job(self) -> str:
        """The name of the job that it submitted."""
        name = json.loads(self.part.said.partition("\n")[0])["job"]
        assert isinstance(name, str)
        return name

    def answer(self, timeout_s: float = 60.0) -> dict[str, Any]:
        """What came out, when it has ended; ``hosts`` has those that did maps, and those that did reduces.

        Nodes and masters that have left are started again meanwhile.
        """
        deadline = time.monotonic() + timeout_s
        while self.part.is_running:
            assert time.monotonic() < deadline, f"the client hangs: {self.part.said}"
            self.lan.keep()
            time.sleep(0.02)
        answer = json.loads(self.part.last_words)
        assert isinstance(answer, dict)
        if (oob := answer.pop("oob", None)) is not None:
            answer["hosts"] = {
                phase: sorted({host for key, host in oob.items() if key.startswith(phase)})
                for phase in ("map", "reduce")
            }
            answer["oob keys"] = sorted(oob)
        return answer


def check(client: Client, job: JobOf, timeout_s: float = 60.0) -> dict[str, Any]:
    """The job ends with exactly its answer. The hosts that took part."""
    answer = client.answer(timeout_s)
    hosts = answer.pop("hosts", {})
    assert answer == job.answer(), client.lan.said()
    return dict(hosts)


def wait_for_maps(lan: Lan, client: Client, count: int, *nodes: str) -> None:
    """Return when each of the nodes has done so many maps of the client's job, and has more to do."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while any(lan.nr_outputs(node, client.job) < count for node in nodes):
        assert client.part.is_running, f"the job has ended: {client.part.said}"
        assert time.monotonic() < deadline, f"the maps do not begin: {lan.said()}"
        time.sleep(0.01)


def cut_for(lan: Lan, seconds: float, *hosts: str) -> None:
    lan.wire.cut(*hosts)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        lan.keep()
        time.sleep(0.05)
    lan.wire.mend(*hosts)


@contextmanager
def running_lan() -> Iterator[Lan]:
    """A LAN with everything up. Raises ``NotAllowed``."""
    lan = Lan()
    try:
        lan.start()
        yield lan
    except BaseException:
        print(lan.said())
        raise
    finally:
        lan.close()


def _namespace(host: str) -> str:
    return f"drq-{os.getpid()}-{host}"


def _remove_old() -> None:
    """The namespaces of trials that were killed."""
    for found in _NAMESPACE.finditer(_ip("netns", "list")):
        if not Path(f"/proc/{found[1]}").exists():
            _ip("netns", "del", found[0])


def _ip_path() -> str:
    path = shutil.which("ip", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if path is None:
        raise NotAllowed("the program ip (of Debian's iproute2) is not installed")
    return path


def _ip(*arguments: str) -> str:
    done: Any = subprocess.run([_ip_path(), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotAllowed(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return str(done.stdout)
