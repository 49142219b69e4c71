"""The manual on the page: every topic, its links, the search; nothing that a policy would refuse."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser

import pytest
from playwright.sync_api import expect

from disco_rq.machine.redisserver import PrivateServer
from disco_rq.manual import topics
from tests.web.browser import Visit, scrolls_sideways
from tests.web.conftest import WebCluster
from tests.web.visitor import SECRET, Visitor, served

PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True}


class Seen(HTMLParser):
    """What a page links to and names, and what its policy would refuse."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.refused: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "href" and tag == "a":
                self.links.append(value or "")
            elif name == "id":
                self.ids.add(value or "")
            elif name == "style" or name.startswith("on"):
                self.refused.append(f"{tag} {name}")


@pytest.fixture(scope="module")
def reader(web_redis: PrivateServer) -> Iterator[Visitor]:
    with served(web_redis.url) as root:
        yield Visitor(root)


def html_of(reader: Visitor, path: str, **query: object) -> str:
    answer = reader.get(path, **query)
    assert answer.status == 200, answer.body
    return answer.body.decode()


def test_every_page_is_there_and_every_link_in_it_leads_to_a_place(reader: Visitor) -> None:
    pages = {f"/manual/{topic}": Seen(html_of(reader, f"/manual/{topic}")) for topic in topics()}

    lost = []
    for path, seen in pages.items():
        assert seen.refused == [], path
        for link in seen.links:
            target, _, anchor = link.partition("#")
            known = target in ("", "/", "/nodes", "/manual", *pages)
            if not known or (anchor and anchor not in pages[target or path].ids):
                lost.append((path, link))
    assert lost == []


def test_markdown_is_shown_as_html_and_no_comment_is(reader: Visitor) -> None:
    html = html_of(reader, "/manual/settings")

    assert "<table>" in html
    assert "<code>DISCO_RQ_REDIS</code>" in html
    assert "Questions of the reader" not in html
    assert "&lt;node&gt;" in html


def test_the_search_leads_to_the_section(reader: Visitor) -> None:
    html = html_of(reader, "/manual", q="sentinel failover")

    assert 'href="/manual/cluster#redis-with-sentinel"' in html
    assert "0 places" in html_of(reader, "/manual", q="xylophone")


@pytest.mark.parametrize(
    "query", ["<script>alert(1)</script>", '" onfocus="alert(1)', "x" * 5000, "%00", "  "]
)
def test_a_search_for_anything_is_answered_and_shown_as_text(reader: Visitor, query: str) -> None:
    html = html_of(reader, "/manual", q=query)

    assert Seen(html).refused == []
    assert "<script>alert" not in html


def test_a_topic_that_is_not_there_names_the_nearest(reader: Visitor) -> None:
    answer = reader.get("/manual/securty")

    assert answer.status == 404
    assert "security?" in answer.body.decode()
    assert reader.get("/manual/..%2F..%2FREADME").status == 404


def test_it_takes_a_login_as_the_rest_of_the_page(web_redis: PrivateServer) -> None:
    with served(web_redis.url, SECRET) as root:
        assert Visitor(root).get("/manual").status in (302, 303, 307)


def test_one_reads_on_from_the_search_to_a_section_on_a_phone(
    visitor: Callable[..., Visit], cluster: WebCluster
) -> None:
    visit = visitor(cluster.page_root(), **PHONE)
    page = visit.open("manual")

    page.get_by_role("searchbox").fill("bad entries")
    page.keyboard.press("Enter")
    page.get_by_role("link", name=re.compile("Bad entries$")).first.click()

    expect(page.get_by_role("heading", name="Bad entries")).to_be_in_viewport()
    assert scrolls_sideways(page) <= 0
    for topic in ("arguments", "settings", "performance", "api", "how-it-works"):
        assert scrolls_sideways(visit.open("manual", topic)) <= 0, topic
