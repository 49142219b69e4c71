"""Two thousand connections that say nothing, to every server of a cluster: jobs run, and the page answers."""

from __future__ import annotations

import resource
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from disco_rq import Disco, result_iterator
from disco_rq.machine.redisserver import PrivateServer, private_directory
from disco_rq.outputs.datadir import NODE_ID
from disco_rq.runtime import this_host
from disco_rq.settings import PREFIX
from disco_rq.store import keys
from disco_rq.store.nodes import node_about
from disco_rq.web.access import token
from tests.cluster.conftest import wait_until
from tests.cluster.programs import program, running_node
from tests.web.visitor import Visitor

SECRET = "one for all"
STRANGERS = 2_000
USUAL_FILES = 1_024
"""What a shell and a service are allowed to have open, until they ask for more."""


@pytest.fixture
def usual_files() -> Iterator[None]:
    """Programs are started with the usual limit; this process has as many files as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 4 * STRANGERS:
        pytest.skip(f"this machine allows {hard} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (USUAL_FILES, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def strangers(*urls: str) -> Iterator[None]:
    """Keep so many connections to each, half a request in each; a new one for each that is ended."""
    ended = threading.Event()

    def keep(url: str) -> None:
        place = urlsplit(url).hostname, urlsplit(url).port
        idle: list[socket.socket] = []
        while not ended.is_set():
            while len(idle) < STRANGERS and not ended.is_set():
                with suppress(OSError):
                    idle.append(socket.create_connection(place, timeout=1))
                    idle[-1].sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ")
            begun[url].set()
            idle = [one for one in idle if alive(one)]
            ended.wait(0.05)
        for one in idle:
            one.close()

    def alive(one: socket.socket) -> bool:
        try:
            one.setblocking(False)
            one.sendall(b"a")
            if one.recv(1):
                return True
        except BlockingIOError:
            return True
        except OSError:
            pass
        one.close()
        return False

    begun = {url: threading.Event() for url in urls}
    threads = [threading.Thread(target=keep, args=[url]) for url in urls]
    for thread in threads:
        thread.start()
    try:
        assert all(event.wait(20) for event in begun.values())
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def on_both(entry: str, params: Any) -> Iterator[tuple[str, int]]:
    """A map waits until there is one on the other node, too: the reduce has to read from there."""
    Path(params, f"{this_host()}.ran").touch()
    while len(list(Path(params).glob("*.ran"))) < 2:
        time.sleep(0.005)
    for word in entry.split():
        yield word, 1


def total(pairs: Any, params: Any) -> Iterator[tuple[str, int]]:
    yield "all", sum(one for _, one in pairs)


def look_at_a_job(disco: Disco, visitor: Visitor, scratch: Path) -> None:
    scratch.mkdir()
    began = time.monotonic()
    job = disco.new_job(
        "words",
        ["raw://a b", "raw://c", "raw://d", "raw://e f"],
        map=on_both,
        reduce=total,
        params=str(scratch),
        nr_reduces=1,
    )
    assert list(result_iterator(job.wait(timeout=30))) == [("all", 6)]
    assert job.jobinfo()["mapi"] == [0, 0, 4, 0]
    assert time.monotonic() - began < 10
    began = time.monotonic()
    assert visitor.get("/healthz").status == 200
    assert visitor.job(job.name)["state"] == "ready"
    assert time.monotonic() - began < 5


@pytest.mark.long
def test_a_job_runs_on_and_the_page_answers(tmp_path: Path, usual_files: None) -> None:
    directory = private_directory()
    with pytest.MonkeyPatch.context() as patch, PrivateServer(directory) as server:
        patch.setenv(PREFIX + "SECRET", SECRET)
        with (
            program("master", redis=server.url, secret=SECRET, http="127.0.0.1:0"),
            running_node(server.url, "A", tmp_path / "A", secret=SECRET),
            running_node(server.url, "B", tmp_path / "B", secret=SECRET),
            Disco(server.url) as disco,
        ):
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            redis = disco.session.connection.redis
            page = f"http://{wait_until(lambda: redis.get(keys.MASTER)).decode()}"
            visitor = Visitor(page, Authorization=f"Bearer {token(SECRET.encode(), 'viewer')}")
            assert visitor.get("/healthz").status == 200
            (tmp_path / "begun").mkdir()
            disco.new_job("first", ["raw://a"] * 4, map=on_both, params=str(tmp_path / "begun")).wait(30)
            for name in "AB":  # to each other they are on other machines
                (tmp_path / name / NODE_ID).unlink()
            urls = [node_about(disco.session.connection, name)["url"] for name in "AB"]
            with strangers(page, *urls):
                for number in range(3):
                    look_at_a_job(disco, visitor, tmp_path / str(number))
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    shutil.rmtree(directory)
