"""A browser and a small cluster with its pages, for all tests of the folder."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from disco_rq.machine.redisserver import PrivateServer, private_directory
from disco_rq.store import keys
from disco_rq.store.connection import Connection
from tests.conftest import require_program
from tests.nodes import START_TIMEOUT_S, NodeCluster
from tests.redis.story import lead
from tests.web.browser import WAIT_S, Visit, started
from tests.web.visitor import Visitor, served

expect.set_options(timeout=WAIT_S * 1000)


class WebCluster(NodeCluster):
    """Nodes and a master that serves the pages on loopback, at a port or at any free one."""

    def __init__(self, secret: str = "", port: int = 0) -> None:
        super().__init__()
        self.environment["DISCO_RQ_HTTP"] = f"127.0.0.1:{port}"
        if secret:
            self.environment["DISCO_RQ_SECRET"] = secret

    def page_root(self) -> str:
        """The address of the pages, once a master leads."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while not (address := self.connection.redis.get(keys.MASTER)):
            assert time.monotonic() < deadline, f"no master leads: {self.said()}"
            time.sleep(0.02)
        assert isinstance(address, bytes)
        return f"http://{address.decode()}"


@pytest.fixture(scope="session")
def cluster() -> Iterator[WebCluster]:
    """Two nodes with two slots each, and a master that leads; its pages are open to all on this machine."""
    with WebCluster() as cluster:
        cluster.master()
        cluster.node("north", slots=2)
        cluster.node("south", slots=2)
        cluster.wait_ready()
        cluster.page_root()
        yield cluster


@pytest.fixture(scope="session")
def guarded() -> Iterator[WebCluster]:
    """A master whose pages want a token: a secret is set."""
    with WebCluster(secret="a secret of the tests") as cluster:
        cluster.master()
        cluster.page_root()
        yield cluster


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    with started(require_program("chromium")) as browser:
        yield browser


@pytest.fixture
def visitor(chromium: Browser) -> Iterator[Callable[..., Visit]]:
    """Makes readers: ``visitor(root, viewport=…)``. At the end none of their pages may have complained."""
    made: list[Visit] = []

    def come(root: str, **profile: object) -> Visit:
        made.append(Visit(chromium, root, **profile))
        return made[-1]

    yield come
    complaints = [complaint for visit in made for complaint in visit.complaints]
    for visit in made:
        visit.close()
    assert not complaints, complaints


@pytest.fixture
def visit(visitor: Callable[..., Visit], cluster: WebCluster) -> Visit:
    """One reader of the cluster's pages, at a desk."""
    return visitor(cluster.page_root(), viewport={"width": 1280, "height": 800})


@pytest.fixture
def gates(tmp_path: Path) -> Path:
    """The directory where a gated job leaves its traces and finds its gates."""
    return tmp_path / "gates"


@pytest.fixture(scope="session")
def web_redis() -> Iterator[PrivateServer]:
    """A Redis without a cluster, for pages of stories that the test tells."""
    directory = private_directory()
    try:
        with PrivateServer(directory) as server:
            yield server
    finally:
        shutil.rmtree(directory)


@pytest.fixture(scope="session")
def story_root(web_redis: PrivateServer) -> Iterator[str]:
    """The address of the page of that Redis."""
    with served(web_redis.url) as root:
        yield root


@pytest.fixture
def connection(web_redis: PrivateServer) -> Iterator[Connection]:
    """That Redis, empty but for a leader."""
    connection = Connection(web_redis.url, patience_s=1.0)
    connection.redis.flushall()
    lead(connection)
    yield connection
    connection.close()


@pytest.fixture
def api(story_root: str, connection: Connection) -> Visitor:
    """Somebody who asks the page of that Redis."""
    return Visitor(story_root)
