"""Whom a reader believes that this is where a node serves its files."""

from __future__ import annotations

import pytest

from disco_rq.errors import DataError
from disco_rq.outputs.locator import server_of
from disco_rq.outputs.wire import seal

URL = "http://n:1"


@pytest.mark.parametrize("secret", [b"new", b"old", b"old,older", b"newest, new"])
def test_who_shares_a_key_with_the_node_believes_it(secret: bytes) -> None:
    server = server_of("n", {"url": URL, "url_seal": seal(b"new, old", "n", URL)}, secret)

    assert (server.url, bool(server.token)) == (URL, True)


@pytest.mark.parametrize(
    ("node", "told", "secret"),
    [
        ("n", {"url": URL, "url_seal": seal(b"new, old", "n", URL)}, b"another"),
        ("n", {"url": URL, "url_seal": seal(b"key", "other", URL)}, b"key"),
        ("n", {"url": URL, "url_seal": seal(b"key", "n", "http://thief:1")}, b"key"),
        ("n", {"url": URL, "url_seal": "ü"}, b"key"),
        ("n", {"url": URL, "url_seal": seal(None, "n", URL)}, b"key"),
        ("n", {"url": URL}, b"key"),
    ],
)
def test_nobody_else_can_say_where_a_node_is(node: str, told: dict[str, str], secret: bytes) -> None:
    with pytest.raises(DataError, match="is not signed with the DISCO_RQ_SECRET") as caught:
        server_of(node, told, secret)

    assert caught.value.url is None  # no file is to blame


def test_without_a_secret_there_is_neither_a_signature_nor_a_token() -> None:
    server = server_of("n", {"url": URL, "url_seal": seal(None, "n", URL)}, None)

    assert (server.url, server.token) == (URL, None)
