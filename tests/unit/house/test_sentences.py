"""README and manual are written in short sentences; ``tests.sentences`` says what is counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from disco_rq.manual import page
from tests.documents import PAGES, README
from tests.sentences import sentences, words_in

LONGEST = 35
MEAN_BELOW = 17


@pytest.mark.parametrize("document", [README, *PAGES], ids=lambda path: path.stem)
def test_no_sentence_is_too_long(document: Path) -> None:
    assert [one for one in sentences(document.read_text()) if words_in(one) > LONGEST] == []


def test_no_sentence_of_the_page_made_of_docstrings_is_too_long() -> None:
    reference = page("api")

    assert reference is not None
    assert [one for one in sentences(reference.text) if words_in(one) > LONGEST] == []


def test_the_mean_sentence_is_short() -> None:
    lengths = [words_in(one) for path in (README, *PAGES) for one in sentences(path.read_text())]

    assert len(lengths) > 1000
    assert sum(lengths) / len(lengths) < MEAN_BELOW


@pytest.mark.parametrize("document", PAGES, ids=lambda path: path.stem)
def test_a_page_begins_with_the_ten_questions_of_its_reader(document: Path) -> None:
    comment, _, text = document.read_text().partition("-->\n# ")

    assert comment.startswith("<!-- Questions of the reader:\n")
    assert [f"{number}. " in comment for number in range(1, 11)] == [True] * 10
    assert comment.count("?") >= 10
    assert text


@pytest.mark.parametrize(
    ("text", "lengths"),
    [
        ("Four words are here. And five words are here!\nA line goes on here.", [4, 5, 5]),
        ("A colon ends nothing: neither does `any code`; see.", [8]),
        ("| a cell with four words | two words |\n|---|---|\n", [5]),
        ("- an item of four\n- another item of five words\n", [4, 5]),
        ("# A heading of four words\n\n    disco-rq help and more\n\n```python\nnot a word of it\n```\n", []),
        ("Look at [the page of limits](limits.md#and-promises) first.", [7]),
        ("<!-- a comment that\n\nis long -->\nToo short.", []),
    ],
)
def test_it_counts_as_it_says(text: str, lengths: list[int]) -> None:
    assert [words_in(one) for one in sentences(text)] == lengths
