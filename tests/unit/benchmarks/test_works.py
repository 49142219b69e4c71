"""The programs of ``make bench``: all there, and each gives the known answer."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks import runners
from tests.benchmarks.contestant import TESTS, digest
from tests.benchmarks.environments import PACKAGES
from tests.benchmarks.measured import Measured
from tests.benchmarks.rows import ROWS, Program, Row

RUNNERS = Path(*runners.__path__)
SCALE = 0.0005
BY_HAND = [(row, program) for row in ROWS for program in row.programs if program.runner == "by_hand"]


class InThisProcess:
    """A runner without processes."""

    def each(self, function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        return [function(item) for item in items]

    def shuffle(
        self,
        maps: Callable[[Any], list[bytes]],
        items: Sequence[Any],
        reduce: Callable[[list[bytes]], Any],
        nr_reduces: int,
    ) -> list[Any]:
        parts = [maps(item) for item in items]
        return [reduce([of[i] for of in parts]) for i in range(nr_reduces)]

    def funnel(
        self, maps: Callable[[Any], Any], items: Sequence[Any], reduce: Callable[[list[Any]], Any]
    ) -> Any:
        return reduce(self.each(maps, items))


def function(target: str) -> Callable[..., Any]:
    module, _, name = target.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(TESTS + module), name)
    return found


def answer_of(given: Any) -> str:
    answer = given.answer if isinstance(given, Measured) else given
    return digest(answer() if callable(answer) else answer)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_program_of_a_row_is_there(row: Row) -> None:
    for program in row.programs:
        assert callable(function(program.target))
        assert (RUNNERS / f"{program.runner}.py").exists()
    if row.peers:
        assert callable(function(f"works.{row.peers}"))


@pytest.mark.parametrize("peer", PACKAGES)
def test_every_peer_has_a_runner(peer: str) -> None:
    assert (RUNNERS / f"by_{peer}.py").exists()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_bound_names_a_program_of_its_row_or_a_peer(row: Row) -> None:
    known = {"", "by hand", *(program.name for program in row.programs), *PACKAGES}
    assert {bound.beside for bound in row.bounds} <= known


@pytest.mark.parametrize(
    ("row", "program"), BY_HAND, ids=[f"{row.name}-{program.target}" for row, program in BY_HAND]
)
def test_a_program_by_hand_gives_the_known_answer(row: Row, program: Program, tmp_path: Path) -> None:
    task = row.prepare(tmp_path, SCALE)
    given = answer_of(function(program.target)(InThisProcess(), {**task.given, "rest_s": 0, "jobs": 2}))
    if row.name == "sort":  # whose answer is a digest of its own
        lines = sorted(b"".join(Path(path).read_bytes() for path in task.given["paths"]).splitlines(True))
        task_answer = function("works.sortlines:digest")(lines)
        assert given == digest(task_answer)
    else:
        assert given == digest(task.expected)
