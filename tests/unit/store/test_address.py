"""Addresses of Redis: what they name, what is wrong with one, in one line, and how a client is told again."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
import redis
from redis.sentinel import Sentinel

from disco_rq.errors import SettingsError
from disco_rq.store.address import cluster_address, rq_sentinel, sentinel_address, shown_address, url_of
from disco_rq.store.clients import open_async_client, open_client
from tests.loops import run_coroutine


def test_an_address_of_sentinels_names_them_the_service_and_the_login() -> None:
    read = sentinel_address("redis+sentinel://me:p%40ss@a:1,b,[::1]:3/my%20master/2?sentinel_password=w%2Fd")

    assert read.sentinels == (("a", 1), ("b", 26379), ("::1", 3))
    assert (read.service, read.tls) == ("my master", False)
    assert read.options == {"username": "me", "password": "p@ss", "db": 2}
    assert read.sentinel_options == {"password": "w/d"}


def test_over_tls_the_sentinels_are_asked_with_the_same_authority() -> None:
    read = sentinel_address("rediss+sentinel://a/m?ssl_ca_certs=/ca.crt&sentinel_username=it")

    assert read.tls
    assert read.options == {"ssl_ca_certs": "/ca.crt"}
    assert read.sentinel_options == {"ssl_ca_certs": "/ca.crt", "username": "it"}


def test_no_password_is_in_the_repr_of_an_address() -> None:
    assert "pa55" not in repr(sentinel_address("redis+sentinel://:pa55@a/m?sentinel_password=pa55"))


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://host", "it takes redis://"),
        ("sentinel://a:26379/m", r"redis\+sentinel://"),
        ("redis+sentinel:///mymaster", "names no sentinel; it looks like"),
        ("redis+sentinel://a:26379,b:26379", "what the sentinels call the master; it looks like"),
        ("redis+sentinel://a:26379/", "what the sentinels call the master"),
        ("redis+sentinel://a:many/m", "the port of 'a:many' is no number from 1 to 65535"),
        ("redis+sentinel://a:0/m", "the port of 'a:0'"),
        ("redis+sentinel://a:/m", "the port of 'a:'"),
        ("redis+sentinel://a,/m", "'' among its sentinels is no HOST:PORT"),
        ("redis+sentinel://::1/m", "'::1'"),
        ("redis+sentinel://a/m/first", "'first' behind the service 'm' is no number of a database"),
        ("redis+sentinel://a/m?sentinel_pass=x", "sentinel_username and sentinel_password"),
        ("redis+sentinel://a/m?socket_timeout=soon", "socket_timeout"),
        ("redis+sentinel://a/m?colour=red", "colour"),
        ("redis://a/0?colour=red", "colour"),
        ("redis://a:many/0", "many"),
    ],
)
def test_a_wrong_address_is_told_in_one_line(url: str, why: str) -> None:
    with pytest.raises(SettingsError, match=why) as told:
        open_client(url)
    assert "\n" not in str(told.value)
    assert str(told.value).startswith(f"{url!r} is no Redis address: ")


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://me:pa55@a:x/m",
        "redis+sentinel://:pa/55@a/m",
        "redis+sentinel://a/m/x?sentinel_password=pa55",
        "redis://:pa/55@host:1/0",
        "redis://host/0?password=pa55&colour=red",
        "rediss://host/0?ssl_password=pa55&colour=red",
    ],
)
def test_a_wrong_address_is_told_without_its_password(url: str) -> None:
    with pytest.raises(SettingsError, match="is no Redis address") as told:
        open_client(url)
    assert "pa" not in str(told.value).replace("password", "")
    assert "55" not in str(told.value).replace("65535", "")


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost:6379/0",
        "redis://me:p%40ss@h:1/2",
        "redis://[::1]:6379/0",
        "unix:///run/redis.sock?db=1",
        "rediss://h:1/0?ssl_ca_certs=%2Fca.crt&ssl_check_hostname=False",
        "redis+sentinel://me:p%40ss@a:1,b:26379/mymaster/2?sentinel_username=it&sentinel_password=w%2Fd",
        "rediss+sentinel://a:1/mymaster/0?ssl_ca_certs=%2Fca.crt",
        "redis+cluster://me:p%40ss@a:1,[::1]:2",
        "rediss+cluster://a:1?ssl_ca_certs=%2Fca.crt",
    ],
)
def test_the_address_of_a_client_says_all_that_another_one_needs(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISCO_RQ_PREFIX", "{disco}")
    assert url_of(open_client(url)) == url


def test_clients_that_somebody_else_made_have_an_address_too() -> None:
    secure = redis.Redis("h", 1, ssl=True, ssl_cert_reqs=ssl.CERT_NONE, ssl_ca_certs="/ca.crt")
    there = url_of(secure)
    assert there.startswith("rediss://h:1/0?")
    assert {"ssl_cert_reqs=none", "ssl_ca_certs=%2Fca.crt"} <= set(there.partition("?")[2].split("&"))
    open_client(there)

    sentinels = Sentinel([("a", 1), ("b", 2)], sentinel_kwargs={"password": "word"})  # type: ignore[no-untyped-call]
    client: redis.Redis = sentinels.master_for("m", password="pass", db=3)  # type: ignore[no-untyped-call]
    assert url_of(client) == "redis+sentinel://:pass@a:1,b:2/m/3?sentinel_password=word"


def test_rq_is_told_of_sentinels_in_its_own_way() -> None:
    url = "rediss+sentinel://me:pass@a:1,b:2/m/3?sentinel_password=word&ssl_ca_certs=/ca.crt"
    told: dict[str, Any] = rq_sentinel(url)

    assert told["INSTANCES"] == [("a", 1), ("b", 2)]
    assert (told["MASTER_NAME"], told["SSL"]) == ("m", True)
    assert told["CONNECTION_KWARGS"].items() >= {"username": "me", "password": "pass", "db": 3}.items()
    assert told["SENTINEL_KWARGS"].items() >= {"password": "word", "ssl": True}.items()


async def told_to_its_connections(url: str) -> dict[str, Any]:
    client = open_async_client(url)
    await client.aclose()
    return dict(client.connection_pool.connection_kwargs)


def test_the_client_of_an_event_loop_takes_the_same_addresses() -> None:
    behind_sentinels = run_coroutine(
        told_to_its_connections("rediss+sentinel://me:pass@a:1/m/3?ssl_ca_certs=/ca.crt")
    )
    alone = run_coroutine(told_to_its_connections("redis://a:1/0"))

    assert behind_sentinels.items() >= {"username": "me", "password": "pass", "db": 3}.items()
    assert alone.items() >= {"host": "a", "port": 1, "db": 0}.items()


def test_an_address_of_a_redis_cluster_names_some_of_its_servers() -> None:
    address = cluster_address("rediss+cluster://me:pass@a,b:7001,[::1]:7002?ssl_ca_certs=/ca")
    assert address.servers == (("a", 6379), ("b", 7001), ("::1", 7002))
    assert address.tls
    assert address.options == {"username": "me", "password": "pass", "ssl_ca_certs": "/ca"}
    assert "pass" not in shown_address("redis+cluster://me:pass@a,b")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("redis+cluster://", "it names no server"),
        ("redis+cluster://a/1", "has database 0 only"),
        ("redis+cluster://a,b:x", "the port of 'b:x'"),
        ("redis+cluster://a,:1", "':1' among its servers is no HOST:PORT; it looks like redis\\+cluster://"),
    ],
)
def test_an_address_of_a_redis_cluster_that_is_wrong_is_told(url: str, why: str) -> None:
    with pytest.raises(SettingsError, match=why):
        cluster_address(url)
