"""Where words stand in the manual."""

from __future__ import annotations

import re
from typing import NamedTuple

from disco_rq.manual.pages import MADE, Page, Section, page, topics

__all__ = ["Hit", "search"]

MOST = 30
AROUND = 90
"""Characters shown on each side of the first word."""
MARKS = re.compile(r"[`*|]|-{3,}|\]\([^)]*\)|\[|^[-#> ]+", re.MULTILINE)
"""What only makes sense in Markdown."""


class Hit(NamedTuple):
    """A section in which all the words stand; ``excerpt`` is the text around the first of them."""

    topic: str
    page: str
    section: str
    anchor: str
    excerpt: str


def search(query: str) -> list[Hit]:
    """The sections that hold every word, or the beginnings of words; those with it in their heading first."""
    words = query.lower().split()
    if not words:
        return []
    found = [
        (_rank(one, section, words), _hit(one, section, words))
        for topic in topics()
        if (one := page(topic))
        for section in one.sections()
        if all(word in f"{one.title} {section.title}\n{section.text}".lower() for word in words)
    ]
    return [hit for _, hit in sorted(found, key=lambda pair: -pair[0])[:MOST]]


def _rank(one: Page, section: Section, words: list[str]) -> int:
    """Stable sorting keeps the order of the manual among equals."""
    made = one.topic in MADE  # names of functions: after what is told of them
    heading, text = f"{one.topic} {one.title} {section.title}".lower(), section.text.lower()
    return sum(10 * (word in heading) + min(text.count(word), 5) for word in words) - 20 * made


def _hit(one: Page, section: Section, words: list[str]) -> Hit:
    text = " ".join(MARKS.sub("", section.text).split())
    at = max(text.lower().find(words[0]), 0)
    start, end = max(at - AROUND, 0), at + AROUND
    excerpt = f"{'… ' if start else ''}{text[start:end].strip()}{' …' if end < len(text) else ''}"
    return Hit(one.topic, one.title, section.title, section.anchor, excerpt)
