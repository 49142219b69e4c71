"""A program file becomes the arguments of a job, and its mistakes become one line."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from disco_rq import Params
from disco_rq.cli.program import load_program, with_params
from disco_rq.errors import JobArgumentError


@pytest.fixture(autouse=True)
def imports_as_before() -> Iterator[None]:
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def program(directory: Path, text: str, name: str = "count.py") -> str:
    file = directory / name
    file.write_text(text)
    return str(file)


def test_its_top_level_names_that_new_job_takes_are_the_arguments(tmp_path: Path) -> None:
    loaded = load_program(
        program(tmp_path, "def map(e, params): ...\nsort = True\nnr_reduces = 3\nlimit = 7\n_x = 1")
    )

    assert loaded.name == "count"
    assert loaded.arguments.keys() == {"map", "sort", "nr_reduces"}
    assert loaded.arguments["sort"] is True


def test_a_module_that_it_imports_is_no_argument(tmp_path: Path) -> None:
    program(tmp_path, "", "pilot.py")

    loaded = load_program(program(tmp_path, "import pilot\ndef reduce(iter, out, params): ..."))

    assert loaded.arguments.keys() == {"reduce"}


@pytest.mark.skipif(sys.version_info < (3, 15), reason="lazy imports are new in Python 3.15")
def test_what_it_imports_lazily_counts_as_what_it_is(tmp_path: Path) -> None:
    program(tmp_path, "", "pilot.py")
    program(tmp_path, "def map(e, params): ...", "of_jobs.py")

    loaded = load_program(program(tmp_path, "lazy import pilot\nlazy from of_jobs import map"))

    assert loaded.arguments.keys() == {"map"}
    assert loaded.arguments["map"].__module__ == "of_jobs"
    with pytest.raises(JobArgumentError, match="No module named 'nowhere_at_all'"):
        load_program(program(tmp_path, "lazy from nowhere_at_all import map"))


def test_a_dotted_name_is_imported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program(tmp_path, "def map(e, params): ...", "dotted_program.py")
    monkeypatch.chdir(tmp_path)

    assert load_program("dotted_program").name == "dotted_program"


def test_it_imports_what_lies_beside_it(tmp_path: Path) -> None:
    program(tmp_path, "LIMIT = 7", "beside_it.py")
    text = "from beside_it import LIMIT as nr_reduces\ndef map(e, params): ..."

    loaded = load_program(program(tmp_path, text))

    assert loaded.arguments["nr_reduces"] == 7


def test_a_program_named_as_a_standard_module_does_not_replace_it(tmp_path: Path) -> None:
    loaded = load_program(program(tmp_path, "def map(e, params): ...", "csv.py"))

    assert loaded.name == "csv"
    assert sys.modules["csv"] is csv


@pytest.mark.parametrize(
    ("name", "job_name"),
    [("my-job.py", "my-job"), ("-job.py", "_job"), ("2024 run.py", "2024_run"), ("a.b.py", "a_b")],
)
def test_any_file_name_gives_a_job_name(tmp_path: Path, name: str, job_name: str) -> None:
    assert load_program(program(tmp_path, "def map(e, params): ...", name)).name == job_name


def test_the_name_that_a_program_gives_is_the_jobs(tmp_path: Path) -> None:
    assert load_program(program(tmp_path, "name = 'nightly'\ndef map(e, params): ...")).name == "nightly"


def test_a_name_that_is_a_function_is_no_word_about_the_job(tmp_path: Path) -> None:
    assert load_program(program(tmp_path, "def name(x): ...\ndef map(e, params): ...")).name == "count"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = 1\ny = unknown", r"NameError: name 'unknown' is not defined \(.*count\.py, line 2\)$"),
        ("def map(:", r"SyntaxError: .*\(.*count\.py, line 1\)$"),
        ("def map(e, params): ...\n\0", r"SyntaxError: .* null bytes(?! \(None)"),
        ("import no_such_module", r"No module named 'no_such_module' \(.*count\.py, line 1\)$"),
        ("import sys\nsys.exit('bye')", r"SystemExit: bye \(.*count\.py, line 2\)$"),
        ("sort = True", "defines neither map nor reduce"),
    ],
)
def test_a_mistake_in_it_is_one_line_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(JobArgumentError, match=told) as caught:
        load_program(program(tmp_path, text))

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["missing.py", "no/such/file", "no_such_module"])
def test_a_missing_program_is_named(name: str) -> None:
    with pytest.raises(JobArgumentError, match=name):
        load_program(name)


def test_params_are_json_or_else_text() -> None:
    params = with_params(None, ["limit=10", "rate=0.5", "name=alpha", "empty=", 'list=["a"]', 'text="10"'])

    assert vars(params) == {
        "limit": 10,
        "rate": 0.5,
        "name": "alpha",
        "empty": "",
        "list": ["a"],
        "text": "10",
    }


def test_params_on_the_command_line_win_over_the_programs() -> None:
    assert vars(with_params(Params(limit=1, kept=2), ["limit=10"])) == {"limit": 10, "kept": 2}
    assert with_params({"limit": 1, "kept": 2}, ["limit=10"]) == {"limit": 10, "kept": 2}


def test_no_params_on_the_command_line_leave_the_programs_as_they_are() -> None:
    params = object()

    assert with_params(params, []) is params


@pytest.mark.parametrize("option", ["limit", "=3", "no-name=3"])
def test_a_malformed_param_is_named(option: str) -> None:
    with pytest.raises(JobArgumentError, match=f"-p {option}: it takes NAME=VALUE"):
        with_params(None, [option])


def test_a_param_for_params_that_hold_no_names_is_refused() -> None:
    with pytest.raises(JobArgumentError, match="params are a list"):
        with_params([1], ["limit=10"])
