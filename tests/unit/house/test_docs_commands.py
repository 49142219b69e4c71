"""Commands, keys and make targets that the documents show are there, with their options."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from disco_rq.cli.app import cli
from disco_rq.store import keys
from tests.documents import PAGES, README, ROOT

DOCUMENTS = [
    README,
    *PAGES,
    ROOT / "ops" / "README.md",
    ROOT / "workers" / "README.md",
    ROOT / "CHANGES.md",
]


def snippets(document: Path) -> Iterator[str]:
    """What stands as code: between backticks, or indented."""
    text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)
    for line in re.findall(r"^    (.+)$", text, re.MULTILINE):
        yield line.partition(" #")[0]
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"^    .+$", "", text, flags=re.MULTILINE))


def calls(document: Path) -> Iterator[tuple[str, list[str]]]:
    """Each call of our program: the snippet, and the words behind the program's name."""
    for snippet in snippets(document):
        # What a pod is to run stands behind the dashes; before these is the namespace of the same name.
        told = snippet.partition(" -- ")[2] if "kubectl " in snippet else snippet
        for call in re.split(r"[|;&]+|\$\(", told):
            if found := re.search(r"(?:^|[\s=])disco-rq +((?!@)[a-z].*)$", call):
                yield snippet, found[1].replace("[", "").replace("]", "").rstrip('")').split()


def wrong_in(words: list[str]) -> str:
    """What of a call there is not: the verb, or an option of it. Empty if all of it is there."""
    command: click.Command = cli
    cli.every()  # a verb is imported when it is asked for
    while isinstance(command, click.Group) and words and re.fullmatch(r"[a-z-]+", words[0]):
        if words[0] not in command.commands:
            return "" if command is not cli else words[0]
        command = command.commands[words.pop(0)]
    options = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    return next(
        (word for word in words if re.match(r"--?[a-z]", word) and word.split("=")[0] not in options), ""
    )


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_call_of_the_program_that_is_shown_can_be_made(document: Path) -> None:
    found = list(calls(document))

    assert len(found) >= 2 or document in PAGES
    assert [(snippet, wrong) for snippet, words in found if (wrong := wrong_in(words))] == []


@pytest.mark.parametrize("words", ["nonsense", "purge --olden 7d", "oob get JOB KEY --jsn"])
def test_a_call_that_cannot_be_made_is_noticed(words: str) -> None:
    assert wrong_in(words.split())


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_key_of_redis_that_is_shown_is_in_the_table_of_keys(document: Path) -> None:
    shown = {
        re.sub(r"job:[^:\s]+@[^:\s]+", "job:<name>", key)
        for key in re.findall(r"\bdisco:(?!//)[a-z][^\s`)]*", document.read_text())
    }

    assert [key for key in shown if not is_known(key)] == []


def is_known(key: str) -> bool:
    table = str(keys.__doc__)
    if key.startswith("disco:job:<name>:"):
        return key.removeprefix("disco:job:<name>") in table
    return key.rstrip(":*") in table


def test_every_target_of_make_that_is_shown_is_there() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    shown = {word for document in DOCUMENTS for word in re.findall(r"`make ([a-z]+)", document.read_text())}

    assert len(shown) >= 6
    assert shown <= targets
