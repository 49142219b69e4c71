"""The manual as pages: Markdown made HTML, and the search."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import NamedTuple

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from disco_rq.manual import Page
from disco_rq.manual.pages import anchor_of

__all__ = ["Heading", "Shown", "shown"]

OF_A_PAGE = re.compile(r"([\w-]+)\.md(#[\w-]+)?")


class Heading(NamedTuple):
    """Of a section, for the list of what is on a page."""

    anchor: str
    text: str


class Shown(NamedTuple):
    """``html`` is our own text: what looks like HTML in it was escaped."""

    html: Markup
    headings: list[Heading]


@cache
def shown(page: Page) -> Shown:
    """A page as HTML that needs neither scripts nor styles of its own. Its links lead to other pages."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(page.text)
    headings = _name_headings(tokens)
    _turn_links(tokens)
    html = markdown.renderer.render(tokens, markdown.options, {})
    html = html.replace("<table>", '<div class="table-box" tabindex="0"><table>').replace(
        "</table>", "</table></div>"
    )
    return Shown(Markup(html), headings)


def _name_headings(tokens: Sequence[Token]) -> list[Heading]:
    found = []
    for token, inline in pairwise(tokens):
        if token.type == "heading_open" and token.tag != "h1":
            heading = Heading(anchor_of(inline.content), inline.content.replace("`", ""))
            token.attrSet("id", heading.anchor)
            if token.tag == "h2":
                found.append(heading)
    return found


def _turn_links(tokens: Sequence[Token]) -> None:
    for token in tokens:
        for inline in token.children or ():
            link = OF_A_PAGE.fullmatch(str(inline.attrGet("href") or ""))
            if link:
                inline.attrSet("href", f"/manual/{link[1]}{link[2] or ''}")
