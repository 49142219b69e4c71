"""Sentences of a Markdown text, and how many words each has.

What is counted: paragraphs, items of lists and cells of tables, each by itself. A sentence ends at
``.``, ``!`` or ``?`` before a space or the end; a colon and a semicolon end none. A word is what stands
between spaces, if it has a letter or a digit. Code between backticks is one word, of a link only its
text counts. Left out: headings, comments, code blocks, and fragments of less than four words, such as
most cells, which would make the mean look better than it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

LEFT_OUT = re.compile(
    r"<!--[\s\S]*?-->|^```[\s\S]*?^```|^ {4,}.*$|^#+ .*$|!\[[^\]]*\]\([^)]*\)", re.MULTILINE
)
SHORTEST = 4


def sentences(text: str) -> Iterator[str]:
    for block in _blocks(LEFT_OUT.sub("", text)):
        for sentence in re.split(r"(?<=[.!?])[)\"”*]*\s+(?=\S)", block):
            if words_in(sentence) >= SHORTEST:
                yield sentence


def words_in(sentence: str) -> int:
    return sum(1 for word in sentence.split() if re.search(r"\w", word))


def _blocks(text: str) -> Iterator[str]:
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", re.sub(r"`[^`]+`", "code", text))
    for paragraph in re.split(r"\n\s*\n|\n(?=[-*] |\d+\. |\|)", text):
        yield from (" ".join(part.split()) for part in paragraph.split(" | "))
