"""Where the source of a job's functions is found again, for breakpoints by file and line."""

from __future__ import annotations

import bdb
import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import pytest

from disco_rq.attempt.sourcefiles import find_sources
from disco_rq.packing.shipping import ship, unship

PROGRAM = """
class Scale:
    by = 2

    def times(self, n):
        return n * self.by


def helper(n):
    return Scale().times(n)


def decorated(function):
    def inner(n):
        return function(n) + 1
    return inner


@decorated
def map(n):
    return helper(n)
"""


class Stops(bdb.Bdb):
    """As an editor's debugger: it knows breakpoints by file and line."""

    def __init__(self) -> None:
        super().__init__()
        self.stopped: list[int] = []

    def user_line(self, frame: FrameType) -> None:
        if self.break_here(frame):
            self.stopped.append(frame.f_lineno)
        self.set_continue()


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "there" / "pkg" / "prog.py"
    path.parent.mkdir(parents=True)
    path.write_text(PROGRAM)
    yield path
    sys.modules.pop("prog", None)


def shipped(path: Path) -> Callable[[int], int]:
    """The map of a program, as it arrives."""
    spec = importlib.util.spec_from_file_location("prog", path)
    assert spec is not None
    assert spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    sys.modules["prog"] = module
    spec.loader.exec_module(module)
    data = ship(module.map)
    del sys.modules["prog"]
    arrived: Any = unship(data)
    return arrived  # type: ignore[no-any-return]


def stops_at(function: Callable[[int], int], file: Path) -> list[int]:
    debugger = Stops()
    for line in (6, 10, 15, 21):
        assert debugger.set_break(str(file), line) is None
    assert debugger.runcall(function, 2) == 5
    return debugger.stopped


def test_where_it_was_breakpoints_stop_in_all_that_the_function_uses(program: Path, tmp_path: Path) -> None:
    function = shipped(program)

    assert find_sources([function], [], tmp_path / "copies") == []
    assert stops_at(function, program) == [15, 21, 10, 6]


def test_in_another_place_they_stop_there(program: Path, tmp_path: Path) -> None:
    function, here = shipped(program), tmp_path / "here"
    (here / "pkg").mkdir(parents=True)
    moved = program.rename(here / "pkg" / "prog.py")

    assert find_sources([function], [tmp_path, here], tmp_path / "copies") == []
    assert stops_at(function, moved) == [15, 21, 10, 6]


def test_another_file_of_that_name_is_not_taken_for_it(program: Path, tmp_path: Path) -> None:
    function, here = shipped(program), tmp_path / "here"
    here.mkdir()
    (here / "prog.py").write_text(PROGRAM.replace("+ 1", "+ 2"))
    program.unlink()

    [line] = find_sources([function], [here], tmp_path / "copies")

    assert line.startswith(f"{program} has changed since the job was submitted: ")


def test_of_a_copy_that_came_with_the_job_the_original_is_found(program: Path, tmp_path: Path) -> None:
    copies = tmp_path / "copies"
    (copies / "pkg").mkdir(parents=True)
    (copies / "pkg" / "prog.py").write_text(PROGRAM)
    function = shipped(copies / "pkg" / "prog.py")

    assert find_sources([function], [tmp_path / "there"], copies) == []
    assert stops_at(function, program) == [15, 21, 10, 6]


def test_installed_packages_and_ours_are_not_looked_for(tmp_path: Path) -> None:
    from disco_rq import func

    assert find_sources([func.sum_reduce, len, func.csv_reader()], [], tmp_path) == []
