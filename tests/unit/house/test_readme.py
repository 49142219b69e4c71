"""README and manual tell all there is: arguments, methods, verbs, settings, runtime names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from disco_rq import Disco, Job, runtime
from disco_rq.cli import nodes, tasks
from disco_rq.cli.app import cli
from disco_rq.client.submission import ARGUMENTS
from disco_rq.settings import PREFIX, Settings
from disco_rq.store.viewing import NodeState
from tests.documents import PAGES, README, ROOT, page


@pytest.mark.parametrize("argument", ARGUMENTS)
def test_every_argument_of_new_job_is_in_its_table(argument: str) -> None:
    assert re.search(rf"`{argument}[`(]", page("arguments"))


@pytest.mark.parametrize("name", runtime.__all__)
def test_every_runtime_name_is_in_its_table(name: str) -> None:
    assert re.search(rf"\b{name}\(", page("runtime"))


@pytest.mark.parametrize("setting", list(Settings.__slots__))
def test_every_setting_is_in_its_table(setting: str) -> None:
    assert f"`{PREFIX}{setting.upper()}`" in page("settings")


def test_every_verb_of_the_command_line_is_listed() -> None:
    [verbs] = re.findall(r"^    disco-rq (run .*)$", page("commands"), re.MULTILINE)
    assert set(verbs.split()) == set(cli.every())


@pytest.mark.parametrize("columns", [nodes.COLUMNS, tasks.COLUMNS])
def test_every_column_is_explained(columns: tuple[str, ...]) -> None:
    words = set(re.findall(r"[`*](\w+)[`*]", page("commands")))
    assert set(columns) - words <= {"node", "task"}


@pytest.mark.parametrize("state", [*get_args(NodeState), "failed", "stopped"])
def test_every_state_is_explained(state: str) -> None:
    assert f"*{state}*" in page("commands")


@pytest.mark.parametrize("cls", [Job, Disco])
def test_every_public_method_is_named(cls: type) -> None:
    methods = {name for name in vars(cls) if not name.startswith("_")} - {"close", "is_embedded", "new_job"}
    assert methods <= set(re.findall(r"\w+", page("arguments")))


def test_every_example_is_listed() -> None:
    programs = {path.name for path in (ROOT / "disco_rq" / "examples").glob("*.py")}
    listed = re.findall(r"^\| `(\w+\.py)`", page("first-job"), re.MULTILINE)
    assert programs - {"__init__.py", "demo.py"} == set(listed)


def test_the_readme_is_short_and_names_every_page() -> None:
    text = README.read_text()
    assert len(text.splitlines()) <= 200
    assert {path.name for path in PAGES} == set(re.findall(r"disco_rq/manual/([\w-]+\.md)", text))


def anchors(text: str) -> set[str]:
    """Of its headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", [README, *PAGES], ids=lambda path: path.stem)
def test_every_link_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", document.read_text())

    assert [link for link in links if not is_there(document, link)] == []


def is_there(document: Path, link: str) -> bool:
    name, _, anchor = link.partition("#")
    path = document.parent / name if name else document
    if path.name == "api.md":  # made of docstrings
        return True
    return path.is_file() and (not anchor or anchor in anchors(path.read_text()))
