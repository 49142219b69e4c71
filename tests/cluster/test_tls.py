"""A Redis that speaks TLS only, with an authority of our own: ``rediss://…?ssl_ca_certs=FILE``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from disco_rq import Disco, result_iterator
from disco_rq.errors import ConnectionLost
from tests.authority import authority
from tests.cluster.programs import program, running_node
from tests.services import TcpServer


@pytest.fixture
def server(short_dir: Path, redis_server: Path) -> Iterator[TcpServer]:
    options = authority(short_dir, "ours").options
    with TcpServer(short_dir, *options, binary=redis_server, scheme="rediss") as server:
        yield server


def words(line: str, params: Any) -> list[tuple[str, int]]:
    return [(word, 1) for word in line.split()]


def test_client_master_and_node_meet_over_tls(server: TcpServer, short_dir: Path) -> None:
    url = server.url(options=f"?ssl_ca_certs={short_dir}/ours.crt")
    with (
        program("master", redis=url, http="127.0.0.1:0"),
        running_node(url, "n1", short_dir / "n1"),
        Disco(url) as disco,
    ):
        job = disco.new_job("words", ["raw://a b"], map=words)
        assert sorted(result_iterator(job.wait(timeout=30))) == [("a", 1), ("b", 1)]


def test_a_server_of_another_authority_is_refused_in_one_line(server: TcpServer, short_dir: Path) -> None:
    authority(short_dir, "another")
    url = server.url(options=f"?ssl_ca_certs={short_dir}/another.crt")
    with pytest.raises(ConnectionLost, match=r"^Redis at rediss://127.*certificate verify failed.*$"):
        Disco(url)


def test_a_certificate_file_that_is_missing_is_named(server: TcpServer, short_dir: Path) -> None:
    missing = short_dir / "missing.crt"
    with pytest.raises(ConnectionLost, match=rf"^Redis at rediss://.*{missing}.*$"):
        Disco(server.url(options=f"?ssl_ca_certs={missing}"))
