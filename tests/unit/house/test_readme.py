"""The README tells all there is: arguments, methods, verbs, settings, runtime names; its example runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from disco_rq import Disco, Job, runtime
from disco_rq.cli import nodes, tasks
from disco_rq.cli.app import cli
from disco_rq.client.submission import ARGUMENTS
from disco_rq.settings import PREFIX, Settings
from disco_rq.store.viewing import NodeState

README = Path(__file__).parents[3] / "README.md"
TEXT = README.read_text()


def section(title: str) -> str:
    """The text below a heading, up to the next one."""
    return TEXT.split(f"\n## {title}")[1].split("\n## ")[0]


@pytest.mark.parametrize("argument", ARGUMENTS)
def test_every_argument_of_new_job_is_in_its_table(argument: str) -> None:
    assert re.search(rf"`{argument}[`(]", section("The job: arguments"))


@pytest.mark.parametrize("name", runtime.__all__)
def test_every_runtime_name_is_in_its_table(name: str) -> None:
    assert re.search(rf"\b{name}\(", section("The runtime API"))


@pytest.mark.parametrize("setting", list(Settings.__slots__))
def test_every_setting_is_in_its_table(setting: str) -> None:
    assert f"`{PREFIX}{setting.upper()}`" in section("Settings")


def test_every_verb_of_the_command_line_is_listed() -> None:
    [verbs] = re.findall(r"^    disco-rq (run .*)$", section("The command line"), re.MULTILINE)
    assert set(verbs.split()) == set(cli.every())


@pytest.mark.parametrize("columns", [nodes.COLUMNS, tasks.COLUMNS])
def test_every_column_is_explained(columns: tuple[str, ...]) -> None:
    words = set(re.findall(r"[`*](\w+)[`*]", section("The command line")))
    assert set(columns) - words <= {"node", "task"}


@pytest.mark.parametrize("state", [*get_args(NodeState), "failed", "stopped"])
def test_every_state_is_explained(state: str) -> None:
    assert f"*{state}*" in section("The command line")


@pytest.mark.parametrize("cls", [Job, Disco])
def test_every_public_method_is_named(cls: type) -> None:
    methods = {name for name in vars(cls) if not name.startswith("_")} - {"close", "is_embedded", "new_job"}
    words = set(re.findall(r"\w+", section("The job: arguments")))
    assert methods <= words


def example_in(title: str) -> str:
    [example] = re.findall(r"```python\n(.*?)```", section(title), re.DOTALL)
    return str(example)


def output_of(example: str) -> list[str]:
    """The lines that an example prints when it runs as it is printed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    program = subprocess.run(
        [sys.executable, "-c", example], cwd=README.parent, env=environment, capture_output=True, text=True
    )
    assert program.returncode == 0, program.stderr
    return program.stdout.splitlines()


def test_the_twenty_line_job_runs_as_printed() -> None:
    example = example_in("A job in twenty lines")
    assert len([line for line in example.splitlines() if line.strip()]) <= 22
    lines = output_of(example)
    counts = dict(line.split() for line in lines[:-1])
    expected = re.findall(r"\w+", TEXT.lower())
    assert int(counts["disco"]) == expected.count("disco")
    assert len(counts) == len(set(expected))
    assert lines[-1] == f"localhost {{'words': {len(expected)}}}"


def test_every_example_is_listed() -> None:
    programs = {path.name for path in (README.parent / "disco_rq" / "examples").glob("*.py")}
    assert programs - {"__init__.py", "demo.py"} == set(re.findall(r"^\| `(\w+\.py)`", TEXT, re.MULTILINE))


def test_the_job_in_one_process_runs_as_printed() -> None:
    *lines, message, counters = output_of(example_in("A job in one process"))

    words = re.findall(r"\w+", TEXT.lower())
    assert dict(line.split() for line in lines) == {
        word: str(words.count(word)) for word in {"map", "reduce"}
    }
    assert message == "['map 0 is here', 'map 1 is here']"
    assert counters == f"{{'words': {len(words)}}}"


def test_the_bad_entries_are_printed() -> None:
    assert output_of(example_in("Bad entries")) == [
        "21 | 2 | ValueError: could not convert string to float: 'free' | {'country': 'se', 'price': 'free'}",
        "29 | 3 | a price below zero | {'country': 'no', 'price': '-1'}",
        "35 | 4 | 1 columns, the header has 2 | no",
    ]


def test_the_job_that_died_goes_on_as_printed() -> None:
    [line] = output_of(example_in("Going on with a job that died"))
    pairs, kept = line.rsplit(" ", 1)

    assert pairs == "[(0, 1), (1, 1), (2, 1)]"
    assert int(kept) <= 2


def test_the_external_program_runs_as_printed() -> None:
    lines = output_of(example_in("External programs"))

    long_words = [word for word in TEXT.split() if len(word) > 25]
    found = dict(line.split(" ", 1) for line in lines)
    assert set(found) == {word[0] for word in long_words}
    for letter, word in found.items():
        assert len(word) == max(len(other) for other in long_words if other[0] == letter)
        assert word in long_words
