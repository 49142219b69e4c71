"""Whom a reader believes that this is where a node serves its files."""

from __future__ import annotations

import pytest

from disco_rq.errors import DataError
from disco_rq.outputs.locator import Locator, server_of
from disco_rq.outputs.wire import data_keys, keys_of_job, new_life, passes, seal

JOB = "job@20261123-211350-wgc6"
URL = "http://n:1"
LIFE, OTHER = new_life(), new_life()


def told(keys: bytes | None, node: str = "n", life: str = LIFE, url: str = URL) -> dict[str, str]:
    """What somebody tells of node n, who has signed this."""
    return {"url": URL, "life": LIFE, "url_seal": seal(keys, node, life, url)}


@pytest.mark.parametrize("secret", [b"new", b"old", b"old,older", b"newest, new"])
def test_who_shares_a_key_with_the_node_believes_it(secret: bytes) -> None:
    server = server_of("n", told(b"new, old"), secret, JOB)

    assert (server.url, bool(server.opened_by)) == (URL, True)


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
        server_of(node, about, secret, JOB)

    assert caught.value.url is None  # no file is to blame


def test_without_a_secret_there_is_neither_a_signature_nor_a_token() -> None:
    server = server_of("n", told(None), None, JOB)

    assert (server.url, server.opened_by) == (URL, None)


def opened_by(secret: bytes, node: str = "n", life: str = LIFE, url: str = URL, job: str = JOB) -> set[str]:
    """All that is sent and answered."""
    return {word for one in passes(keys_of_job(data_keys(secret), job), node, life, url) for word in one}


def test_what_opens_a_job_on_a_node_opens_no_other_job_node_life_or_address() -> None:
    right = opened_by(b"key")
    others = [
        opened_by(b"another"),
        opened_by(b"key", node="other"),
        opened_by(b"key", life=OTHER),
        opened_by(b"key", url="http://thief:1"),
        opened_by(b"key", job="other@20261123-211350-wgc6"),
    ]

    assert len(right) == 2
    assert [words for words in others if words & right] == []
    assert opened_by(b"new, key") > right


def test_who_runs_tasks_has_what_opens_the_jobs_that_it_reads_and_believes_any_address() -> None:
    locator = Locator(lambda node: told(b"key", url="http://thief:1") | {"word": "w"}, secret=b"key")
    locator.open_only({JOB: keys_of_job(data_keys(b"key"), JOB)})

    server = locator.server(f"disco://n/{JOB}/map-0.1")

    assert server.opened_by in passes(keys_of_job(data_keys(b"key"), JOB), "n", LIFE, URL)
    with pytest.raises(DataError, match="its files are closed"):
        locator.server("disco://n/other@20261123-211350-wgc6/map-0.1")
