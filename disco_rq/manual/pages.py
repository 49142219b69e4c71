"""The pages of the manual: which there are, in the order in which one reads them, and what each holds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import NamedTuple

from disco_rq.manual.reference import reference

__all__ = ["GROUPS", "Page", "Section", "nearest", "page", "topics"]

DIRECTORY = Path(__file__).parent
GROUPS = {
    "Begin": ("first-job", "inputs", "results", "runtime"),
    "Do more": ("combiners", "joins", "external", "testing", "jobs-over-time"),
    "Run a cluster": ("cluster", "security", "operations", "page"),
    "Understand": ("limits", "how-it-works", "why", "performance"),
    "Look up": ("arguments", "settings", "keys", "commands", "api", "glossary"),
    "Move here": ("coming-from",),
}
"""The topics."""
MADE: dict[str, Callable[[], str]] = {"api": reference}
"""Pages that lie in no file."""
COMMENT = re.compile(r"<!--.*?-->\n*", re.DOTALL)


class Section(NamedTuple):
    """``title``: of the page, for what stands above its first heading."""

    title: str
    anchor: str
    text: str


class Page(NamedTuple):
    """``text``: Markdown without comments, the title included; ``summary``: its first sentence."""

    topic: str
    title: str
    summary: str
    text: str

    def sections(self) -> Iterator[Section]:
        """The page, cut at its headings."""
        title, anchor, lines, in_code = self.title, "", list[str](), False
        for line in self.text.splitlines():
            in_code ^= line.startswith("```")
            if not in_code and (heading := re.match(r"##+ (.*)", line)):
                yield Section(title, anchor, "\n".join(lines))
                title, anchor, lines = heading[1], anchor_of(heading[1]), []
            elif not line.startswith("# ") or in_code:
                lines.append(line)
        yield Section(title, anchor, "\n".join(lines))


def topics() -> list[str]:
    return [topic for group in GROUPS.values() for topic in group]


@cache
def page(topic: str) -> Page | None:
    """None if there is no such topic."""
    if topic not in topics():
        return None
    made = MADE.get(topic)
    text = COMMENT.sub(
        "", made() if made else (DIRECTORY / f"{topic}.md").read_text(encoding="utf-8")
    ).strip()
    title, _, rest = text.removeprefix("# ").partition("\n")
    summary, *_ = re.split(r"(?<=[.?]) ", rest.strip().partition("\n\n")[0].replace("\n", " "), maxsplit=1)
    return Page(topic, title, summary, f"{text}\n")


def nearest(word: str) -> str | None:
    """The topic that was meant, if one is near: a slip, a part of its name, or of its title."""
    wanted = re.sub(r"[\W_]+", "-", word.lower()).strip("-")
    if slips := get_close_matches(wanted, topics(), n=1, cutoff=0.6):
        return slips[0]
    if wanted:
        for topic in topics():
            found = page(topic)
            if found and (wanted in topic or wanted in anchor_of(found.title)):
                return topic
    return None


def anchor_of(heading: str) -> str:
    """As GitHub makes them, so that a link within the pages leads to the same place there."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
