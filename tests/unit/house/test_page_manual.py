"""The manual on the web page: each page, tab, chart and address of it is told, and none that is not there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import pytest
from starlette.routing import Route

from disco_rq.settings import Settings
from disco_rq.views.sources import Sources
from disco_rq.web import pages
from disco_rq.web.api import API
from disco_rq.web.app import create_app
from tests.documents import ROOT

MANUAL = (ROOT / "disco_rq" / "manual" / "page.md").read_text()
STATIC = ROOT / "disco_rq" / "web" / "static"
BESIDE = {"GET /login", "POST /login", "POST /logout", "GET /manual/TOPIC"}
"""Of the browser, which finds them itself."""
ACTION = re.compile(rf"POST ({API}/\w+/[A-Z]+)/(\w+)")


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """``GET /path/JOB`` of every route."""
    monkeypatch.setattr(Sources, "open", lambda *_: Mock())
    app = create_app(Settings(redis="redis://127.0.0.1:1"), "127.0.0.1:1")
    return set(addresses(app.routes)) - BESIDE


def addresses(routes: list[Any]) -> Iterator[str]:
    for route in routes:
        if isinstance(route, Route):
            path = re.sub(r"{(\w+)(:\w+)?}", lambda found: found[1].upper(), route.path)
            yield f"{'POST' if 'POST' in (route.methods or ()) else 'GET'} {path}"


def rows(beginning: str) -> dict[str, str]:
    """First cell -> second one, of the rows whose first cell begins so."""
    return dict(re.findall(rf"^\| `?({beginning}[^`|]*?)`? \| ([^|]*) \|", MANUAL, re.MULTILINE))


def test_each_address_is_told(served: set[str]) -> None:
    told = rows("(?:GET|POST) /") | {f"GET {path}": what for path, what in rows("/").items()}
    acts = {f"POST {found[1]}/{found[2]}" for one in served if (found := ACTION.fullmatch(one))}
    listed = {
        f"{line.removesuffix('ACTION')}{action}"
        for line, what in told.items()
        if line.endswith("/ACTION")
        for action in re.findall(r"`(\w+)`", what)
    }

    assert {line for line in told if not line.endswith("/ACTION")} == served - acts
    assert listed == acts


def test_each_tab_is_told_in_order() -> None:
    tabs = MANUAL[MANUAL.index("| tab | shows |") :].split("\n\n")[0]

    assert re.findall(r"^\| (\w+) \|", tabs, re.MULTILINE)[1:] == [title for _, title in pages.TABS]


def test_each_chart_is_told() -> None:
    scripts = [file.read_text() for file in STATIC.glob("*.js")]
    titles = {title for text in scripts for title in re.findall(r'chart\({ title: "(.*?)"', text)}

    assert titles
    assert titles == set(re.findall(r"\*([A-Z][^*\n]+)\*", MANUAL[MANUAL.index("## What is on it") :]))
