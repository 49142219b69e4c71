"""Requests that nobody should send, to the page and to a data server: none gets what it may not have, and
none is an error of ours. The same ones each time.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from urllib.parse import quote, urlsplit

import pytest

from disco_rq import Disco, result_iterator
from disco_rq.outputs.wire import data_keys, keys_of_job, passes
from disco_rq.store.nodes import node_about
from disco_rq.web.access import token
from tests.cluster.test_signed_jobs import SECRET, pairs, signed
from tests.nodes import NodeCluster

OUTSIDE = "what lies outside"
ODD = [
    "",
    "0",
    "-1",
    "1e9",
    "9" * 20,
    "NaN",
    "\0",
    "é",
    "'",
    "<script>",
    "../..",
    "[]",
    "a" * 3000,
    "\u0661",
    "reduce:-1",
]
RANGES = [
    "",
    "bytes=-1",
    "bytes=5-2",
    f"bytes={'9' * 30}-",
    "bytes=0-0,1-1",
    "bytes=,",
    "bytes=²-3",
    "bytes=0-1," * 900,
]
HEADERS = [
    *(
        "Content-Length: -5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Transfer-Encoding: x",
        "Expect: 100-continue",
    ),
    *(
        "Upgrade: websocket\r\nConnection: Upgrade",
        f"X: {'y' * 70_000}",
        f"Cookie: {'a=b; ' * 300}",
        "Accept: \0",
    ),
]


@pytest.fixture
def cluster(nodes: NodeCluster, monkeypatch: pytest.MonkeyPatch) -> NodeCluster:
    return signed(nodes, monkeypatch)


def answer(url: str, request: str) -> bytes:
    """All that comes back; nothing if the connection is closed for it."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as connection:
        try:
            connection.sendall(request.encode("utf-8", "surrogateescape"))
            return b"".join(iter(lambda: connection.recv(1 << 16), b""))
        except ConnectionError:
            return b""


def encoded(rnd: random.Random, path: str) -> str:
    """A path as somebody may try to hide it."""
    ways = [
        path,
        quote(quote(path, safe=""), safe=""),
        path.replace("/", "%2f").replace(".", "%2e"),
        path.replace("..", "%c0%ae%c0%ae"),
        path.replace("..", "....//"),
        path.replace("/", "\\"),
        path.replace("/", "//"),
        "".join(f"%{byte:02x}" if rnd.random() < 0.5 else chr(byte) for byte in path.encode()),
    ]
    return rnd.choice(ways)


def requests(rnd: random.Random, paths: list[str], right: str, host: str) -> Iterator[tuple[bool, str]]:
    """Whether it has what opens the server, and the text."""
    for _ in range(150):
        opens = rnd.random() < 0.5
        wrong = rnd.choice(["", "Bearer ", f"Bearer {right[:-1]}", f"Basic {right}", f"Bearer {SECRET}"])
        path = encoded(rnd, rnd.choice(paths))
        if rnd.random() < 0.4:
            path += (
                f"?{rnd.choice(['limit', 'offset', 'q', 'sort', 'kind', 'records'])}={quote(rnd.choice(ODD))}"
            )
        method = rnd.choice([*["GET"] * 5, "HEAD", "POST", "PUT", "DELETE", "TRACE", "get", "B\0"])
        lines = [f"{method} {path} HTTP/1.1", f"Host: {rnd.choice([host, host, 'evil', '[::1]:1', 'a b'])}"]
        lines += ["Connection: close", f"Authorization: {f'Bearer {right}' if opens else wrong}"]
        lines += [f"Range: {rnd.choice(RANGES)}"] + ([rnd.choice(HEADERS)] if rnd.random() < 0.3 else [])
        yield opens, "\r\n".join([*lines, "", ""])


def assert_right(url: str, opens: bool, request: str) -> None:
    got = answer(url, request)
    assert OUTSIDE.encode() not in got, request[:300]
    assert SECRET.encode() not in got, request[:300]
    assert not got.startswith((b"HTTP/1.1 5", b"HTTP/1.0 5")), (request[:300], got[:300])
    assert opens or got[9:12] not in (b"200", b"206"), (request[:300], got[:300])


@pytest.mark.parametrize("seed", range(2))
def test_no_bad_request_gets_anything_or_breaks_anything(cluster: NodeCluster, seed: int) -> None:
    rnd = random.Random(seed)
    job = cluster.disco.new_job("kept", ["raw://a"], map=pairs, profile=True)
    other = cluster.disco.new_job("other", ["raw://a"], map=pairs)
    for one in (job, other):
        one.wait(timeout=30)
    (cluster.directory / "outside").write_text(OUTSIDE)
    (cluster.data("n1") / "outside").write_text(OUTSIDE)
    about = node_about(cluster.connection, "n1")
    right = passes(keys_of_job(data_keys(SECRET.encode()), job.name), "n1", about["life"], about["url"])[
        0
    ].token
    name = job.name
    files = [
        f"/{name}/{file}" for file in ("map-0.1", "map-0.1.log", "map-0.1.prof", "partitions/0", "../outside")
    ]
    files += [
        f"/{name}/../../outside",
        f"/{name}/../{other.name}/map-0.1",
        f"/{other.name}/map-0.1",
        "/.node-id",
        "/",
    ]
    for opens, request in requests(rnd, files, right, urlsplit(about["url"]).netloc):
        assert_right(about["url"], opens, request)
    page = cluster.disco.http_url
    pages = [
        f"/api/v1/jobs/{quote(name)}{what}"
        for what in ("", "/tasks", "/results/0/preview", "/oob", "/inputs")
    ]
    pages += [
        f"/jobs/{name}",
        "/api/v1/overview",
        "/api/v1/jobs",
        "/metrics",
        "/",
        "/../../outside",
        "/static/../../outside",
    ]
    for opens, request in requests(rnd, pages, token(SECRET.encode(), "viewer"), urlsplit(page).netloc):
        assert_right(page, opens, request)
    # then both have told of no error, and work
    assert "Traceback" not in cluster.said()
    with Disco(cluster.url) as disco:
        assert list(result_iterator(disco.wait(name, timeout=30))) == [("a", 1)]
