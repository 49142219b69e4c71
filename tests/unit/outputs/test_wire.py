"""Whom a reader believes that this is where a node serves its files."""

from __future__ import annotations

import pytest

from disco_rq.errors import DataError
from disco_rq.outputs.locator import server_of
from disco_rq.outputs.wire import new_life, seal, tokens

URL = "http://n:1"
LIFE, OTHER = new_life(), new_life()


def told(keys: bytes | None, node: str = "n", life: str = LIFE, url: str = URL) -> dict[str, str]:
    """What somebody tells of node n, who has signed this."""
    return {"url": URL, "life": LIFE, "url_seal": seal(keys, node, life, url)}


@pytest.mark.parametrize("secret", [b"new", b"old", b"old,older", b"newest, new"])
def test_who_shares_a_key_with_the_node_believes_it(secret: bytes) -> None:
    server = server_of("n", told(b"new, old"), secret)

    assert (server.url, bool(server.token)) == (URL, True)


@pytest.mark.parametrize(
    ("node", "about", "secret"),
    [
        ("n", told(b"new, old"), b"another"),
        ("n", told(b"key", node="other"), b"key"),
        ("n", told(b"key", url="http://thief:1"), b"key"),
        ("n", told(b"key", life=OTHER), b"key"),
        ("n", told(b"key") | {"life": ""}, b"key"),
        ("n", told(b"key", life=f"{LIFE} x") | {"life": f"{LIFE} x"}, b"key"),
        ("n", told(b"key") | {"url_seal": "ü"}, b"key"),
        ("n", told(None), b"key"),
        ("n", {"url": URL, "life": LIFE}, b"key"),
        ("n", {"url": URL, "url_seal": "of a version that had no lives"}, b"key"),
    ],
)
def test_nobody_else_can_say_where_a_node_is(node: str, about: dict[str, str], secret: bytes) -> None:
    with pytest.raises(DataError, match="is not signed with the DISCO_RQ_SECRET") as caught:
        server_of(node, about, secret)

    assert caught.value.url is None  # no file is to blame


def test_without_a_secret_there_is_neither_a_signature_nor_a_token() -> None:
    server = server_of("n", told(None), None)

    assert (server.url, server.token) == (URL, None)


def test_what_opened_a_node_in_a_life_before_opens_it_no_more() -> None:
    before = server_of("n", told(b"key"), b"key")
    now = {"url": URL, "life": OTHER, "url_seal": seal(b"key", "n", OTHER, URL)}

    assert before.token not in tokens(b"key", "n", OTHER)
    assert server_of("n", now, b"key").token in tokens(b"key", "n", OTHER)
