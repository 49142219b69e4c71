"""The manual in a terminal: its topics, a page, a verb's own help, and what a slip leads to."""

from __future__ import annotations

import json
import re

import pytest

from disco_rq.cli import main
from disco_rq.cli.manual import rendered
from disco_rq.manual import page, topics


def said_by(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> str:
    with pytest.raises(SystemExit) as left:
        main(["help", *words])
    captured = capsys.readouterr()
    assert left.value.code == status, captured.err
    return captured.err if status else captured.out


def test_alone_it_lists_every_topic_with_what_it_is_about(capsys: pytest.CaptureFixture[str]) -> None:
    lines = said_by(capsys).splitlines()

    assert [line.split()[0] for line in lines if line.startswith("  ")] == topics()


def test_into_a_pipe_a_page_is_markdown_without_comments(capsys: pytest.CaptureFixture[str]) -> None:
    text = said_by(capsys, "limits")

    assert text.startswith("# Limits and promises\n")
    assert "<!--" not in text
    assert "How it works (help how-it-works)" in text
    assert not re.search(r"\]\(\w", text)


def test_several_words_name_a_topic_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert said_by(capsys, "first", "job").startswith("# A first job\n")


def test_a_verb_that_is_no_topic_shows_its_own_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert "Usage: disco-rq purge" in said_by(capsys, "purge")


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("securty", "disco-rq help security?"),
        ("purg", "disco-rq help purge?"),
        ("hyperloglog", "it is told in combiners"),
        ("xylophone", "disco-rq help lists all there are"),
    ],
)
def test_what_is_no_topic_leads_to_the_nearest(
    word: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = said_by(capsys, word, status=1)

    assert repr(word) in said
    assert hint in said


def test_as_json_a_page_is_its_topic_title_summary_and_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(said_by(capsys, "keys", "--json"))["topic"] == "keys"
    assert {it["topic"] for it in json.loads(said_by(capsys, "--json"))} == set(topics())


@pytest.mark.parametrize("topic", topics())
def test_every_page_fits_a_terminal(topic: str) -> None:
    found = page(topic)
    assert found is not None

    lines = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in rendered(found.text, 80).splitlines()]

    assert max(map(len, lines)) <= 80
