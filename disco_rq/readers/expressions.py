"""Text as the matches of a regular expression: the same ones however little of it is read at a time."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from typing import Any

from disco_rq.errors import WrongContent
from disco_rq.redact import redact

__all__ = ["matches"]

_AHEAD_CHARS = 64 << 10
"""So far behind its end may lie what decides a match: ``a+`` goes on, or ``(?=…)`` looks there."""
_MATCH_CHARS = 64 << 20
"""One that is longer is an expression that finds no end."""
_SHOWN_CHARS = 40
_LOOKS_BACK = re.compile(r"(?<!\[)\^|\\\[\^|\\[AbB]|\(\?<[=!]")
"""What an expression has, if it looks at what stands before: what has been matched is not to be seen."""


def matches(
    item: re.Pattern[str], texts: Iterator[str], fname: str, *, ahead: int = 0
) -> Generator[tuple[Any, ...], None, str]:
    """The groups of each match, one right behind the other. Returns the rest, where none begins.

    ``ahead``: how many characters behind a match it sees, if more than usual. ``WrongContent`` where a match
    has no end in 64 Mi characters.
    """
    ahead = max(ahead, _AHEAD_CHARS)
    looks_back = _LOOKS_BACK.search(item.pattern) is not None
    text, is_all = "", False
    while True:
        text, is_all = _longer(text, texts, max(2 * ahead, 2 * len(text)))
        settled = len(text) if is_all else len(text) - ahead
        start = 0
        while match := item.match(text[start:]) if looks_back else item.match(text, start):
            end = match.end() + start if looks_back else match.end()
            if not start < end <= settled:
                break
            yield match.groups()
            start = end
        text = text[start:]
        if is_all:
            return text
        if len(text) > _MATCH_CHARS:
            raise WrongContent(
                f"{redact(fname)}: no match of {item.pattern!r} ends in the {len(text):,} characters from "
                f"{text[:_SHOWN_CHARS]!r} on"
            )


def _longer(text: str, texts: Iterator[str], chars: int) -> tuple[str, bool]:
    """The text with more behind it, up to so many characters in all; and whether that was the last."""
    parts, size = [text], len(text)
    while size < chars:
        more = next(texts, None)
        if more is None:
            return "".join(parts), True
        parts.append(more)
        size += len(more)
    return "".join(parts), False
