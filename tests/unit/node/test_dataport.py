"""Where a node listens for those who want its files, and what it tells them."""

from __future__ import annotations

import logging
import socket

import pytest

from disco_rq.errors import SettingsError
from disco_rq.node.dataport import DataPort
from disco_rq.settings import Settings


def told(**settings: str) -> str:
    port = DataPort(Settings(**settings))  # type: ignore[arg-type]
    try:
        return port.url.replace(str(port.listener.getsockname()[1]), "PORT")
    finally:
        port.close()


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({}, "http://127.0.0.1:PORT"),
        ({"data_http": "localhost:0"}, "http://127.0.0.1:PORT"),
        ({"data_http": "0.0.0.0:0"}, f"http://{socket.gethostname()}:PORT"),
        ({"data_url": "https://proxy/n1/"}, "https://proxy/n1"),
    ],
)
def test_it_tells_how_others_reach_it(settings: dict[str, str], url: str) -> None:
    assert told(**settings) == url


@pytest.mark.parametrize(
    "address",
    ["", "8990", "localhost", "localhost:", ":8990", "localhost:x", "h:70000", "http://h:1", "u@h:1"],
)
def test_an_address_that_is_none_is_refused_by_name(address: str) -> None:
    with pytest.raises(SettingsError, match="DISCO_RQ_DATA_HTTP"):
        DataPort(Settings(data_http=address))


@pytest.mark.parametrize("url", ["host:1", "ftp://h:1", "http://", "http://h:x", "http://u:p@h:1"])
def test_an_advertised_address_that_is_none_is_refused_by_name(url: str) -> None:
    with pytest.raises(SettingsError, match="DISCO_RQ_DATA_URL"):
        DataPort(Settings(data_url=url))


def test_a_port_that_is_taken_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(SettingsError, match=f"{address}.*in use"):
            DataPort(Settings(data_http=address))


def test_without_a_secret_listening_to_all_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        told()
        DataPort(Settings(data_http="0.0.0.0:0", secret=b"x")).close()
        assert not caplog.records
        told(data_http="0.0.0.0:0")
    assert "DISCO_RQ_SECRET" in caplog.text


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux takes the times")
def test_connections_with_a_peer_that_vanished_end_within_half_a_minute() -> None:
    port = DataPort(Settings())
    with socket.create_connection(port.listener.getsockname()), port.listener.accept()[0] as accepted:
        port.close()
        assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) <= 30_000  # of what it sent
        idle = sum(
            accepted.getsockopt(socket.IPPROTO_TCP, option) * times
            for option, times in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 3))
        )
        assert idle <= 30
