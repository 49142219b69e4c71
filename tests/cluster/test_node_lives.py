"""What opens a node's data server is good for one life of the node, at the address that it tells."""

from __future__ import annotations

import shutil
import socket
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from disco_rq.machine.redisserver import PrivateServer, private_directory
from disco_rq.outputs.locator import Locator
from disco_rq.outputs.remote import TokenRefused, ask, ask_now
from disco_rq.store import keys
from disco_rq.store.connection import Connection
from disco_rq.store.nodes import node_about
from tests.cluster.conftest import wait_until
from tests.cluster.programs import data_server_of, running_node
from tests.services import free_port

JOB = "job@20261123-211350-wgc6"
SECRET = "of the cluster"
ADDRESS = f"disco://n/{JOB}/map-0.1"
PATH = f"/{JOB}/map-0.1"


@pytest.fixture
def connection() -> Iterator[Connection]:
    directory = private_directory()
    with PrivateServer(directory) as server:
        connection = Connection(server.url)
        yield connection
        connection.close()
    shutil.rmtree(directory)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / JOB).mkdir()
    (tmp_path / JOB / "map-0.1").write_bytes(b"0123456789")
    return tmp_path


def locator_of(connection: Connection) -> Locator:
    return Locator(lambda node: node_about(connection, node), secret=SECRET.encode())


def life_of(connection: Connection, url: str, data: Path, http: str) -> Any:
    return running_node(url, "n", data, slots=0, secret=SECRET, options=("--data-http", http))


def test_an_old_address_that_is_told_again_gets_a_token_that_opens_nothing(
    connection: Connection, data: Path
) -> None:
    locator, redis_url = locator_of(connection), connection.url
    with life_of(connection, redis_url, data, "127.0.0.1:0") as process:
        wait_until(lambda: data_server_of(process))
        before = node_about(connection, "n")
        old = locator.server(ADDRESS)
        assert ask(old, PATH).read() == b"0123456789"
    with life_of(connection, redis_url, data, "127.0.0.1:0") as process:
        wait_until(lambda: data_server_of(process))
        present = locator.server(ADDRESS)
        # when whoever can write to Redis, and has the old address now, tells it again
        connection.redis.hset(keys.node("n"), mapping={f: before[f] for f in ("url", "life", "url_seal")})
        host, port = before["url"].removeprefix("http://").split(":")
        with socket.create_server((host, int(port))) as thief:
            got: list[bytes] = []
            thread = threading.Thread(target=lambda: got.append(_first_bytes(thief)))
            thread.start()
            with pytest.raises(OSError, match=r"."):
                ask(locator.server(ADDRESS), PATH)
            thread.join()
        # then what it is sent does not open the node
        assert old.opened_by is not None
        assert old.opened_by.token.encode() in got[0]
        stolen = type(present)(present.url, old.opened_by)
        with pytest.raises(TokenRefused):
            ask(stolen, PATH)
        assert ask(present, PATH).read() == b"0123456789"


def _first_bytes(listener: socket.socket) -> bytes:
    connection, _ = listener.accept()
    with connection:
        return connection.recv(1 << 16)


def test_a_reader_that_was_told_of_the_life_before_asks_again(connection: Connection, data: Path) -> None:
    redis_url, place = connection.url, f"127.0.0.1:{free_port()}"
    locator = locator_of(connection)
    with life_of(connection, redis_url, data, place):
        told = [locator.server(ADDRESS)]
    with life_of(connection, redis_url, data, place) as process:
        wait_until(lambda: data_server_of(process))
        assert locator.server(ADDRESS).url == told[0].url
        answer = ask_now(lambda: told.pop() if told else locator.server(ADDRESS), PATH)
        assert answer.read() == b"0123456789"
        # one that is refused by the present life, too, is told so
        stranger = Locator(lambda node: node_about(connection, node))
        with pytest.raises(TokenRefused, match="DISCO_RQ_SECRET"):
            ask_now(lambda: stranger.server(ADDRESS), PATH)


def test_without_a_secret_no_token_is_needed_and_it_listens_on_loopback(
    connection: Connection, data: Path
) -> None:
    with running_node(connection.url, "open", data, slots=0):
        url = node_about(connection, "open")["url"]
        assert url.startswith("http://127.0.0.1:")
        assert urllib.request.urlopen(f"{url}{PATH}", timeout=10).read() == b"0123456789"


def test_it_tells_an_address_that_others_can_reach(connection: Connection, tmp_path: Path) -> None:
    redis = connection.url
    with running_node(redis, "all", tmp_path / "1", slots=0, options=("--data-http", "0.0.0.0:0")):
        assert urlsplit(node_about(connection, "all")["url"]).hostname == socket.gethostname().lower()
    with running_node(redis, "told", tmp_path / "2", slots=0, data_url="https://proxy:8443/told/"):
        assert node_about(connection, "told")["url"] == "https://proxy:8443/told"
