"""Whether two pieces of code do the same: told across processes, whatever does not run."""

from __future__ import annotations

import functools
import importlib
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from disco_rq import Params, func
from disco_rq.machine.packages import distribution_of
from disco_rq.packing.identity import CannotTell, identity_of
from tests.services import REPOSITORY

HELPERS = """
    LIMIT = 10
    UNUSED = 1

    def twice(x):
        return 2 * once(x)

    def once(x):
        return x

    def other(x):
        return x + 99
"""
PROGRAM = """
    import functools
    import helpers
    from helpers import twice as double

    STOP = {"the", "a"}
    OTHER = 1

    class Word:
        size = 3

        def __init__(self, text):
            self.text = text

        def long(self, least=5):
            return len(self.text) > least

    def around(function):
        @functools.wraps(function)
        def inner(*args):
            return [pair for pair in function(*args) or ()]
        return inner

    def made(limit):
        def inner(x):
            return x < limit
        return inner

    below = made(100)

    def default(x, factor=3, *, offset=0):
        return x * factor + offset

    @around
    def map(line, params):
        for word in line.split():
            if word not in STOP and Word(word).long() and below(len(word)):
                yield word, double(helpers.LIMIT) + default(1) + (lambda y: y + 1)(2)
"""


def written(directory: Path, program: str = PROGRAM, helpers: str = HELPERS) -> Path:
    directory.mkdir(exist_ok=True)
    (directory / "program.py").write_text(dedent(program))
    (directory / "helpers.py").write_text(dedent(helpers))
    return directory


def told_of(directory: Path, program: str = PROGRAM, helpers: str = HELPERS) -> str:
    """The identity of a program's map."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "dont_write_bytecode", True)
        patch.syspath_prepend(written(directory, program, helpers))
        for name in ("program", "helpers"):
            sys.modules.pop(name, None)
        return identity(importlib.import_module("program").map)


def told_elsewhere(directory: Path, seed: str) -> str:
    """The same, as another process tells it."""
    code = (
        "from disco_rq.machine.packages import distribution_of\n"
        "from disco_rq.packing.identity import identity_of\n"
        "import program\nprint(identity_of(program.map, distribution_of))"
    )
    environment = {"PYTHONPATH": f"{written(directory)}:{REPOSITORY}", "PYTHONHASHSEED": seed}
    done = subprocess.run(
        [sys.executable, "-B", "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> str:
    return told_of(tmp_path_factory.mktemp("before") / "here")


@pytest.mark.parametrize("seed", ["0", "1", "4711"])
def test_it_is_the_same_in_another_process_and_place(tmp_path: Path, before: str, seed: str) -> None:
    assert told_elsewhere(tmp_path / "elsewhere", seed) == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("STOP = ", "# a comment\n\n    STOP = "),
        ("OTHER = 1", "OTHER = 2"),
        ('{"the", "a"}', '{"a", "the"}'),
        ("    class Word:", "    def unused():\n        return 1\n\n    class Word:"),
        ("def long(self, least=5):", "def long(self, least=5):  # of characters"),
        ("def inner(x):", "def inner(x: int) -> bool:"),
    ],
)
def test_what_does_not_run_changes_nothing(tmp_path: Path, before: str, old: str, new: str) -> None:
    assert old in PROGRAM
    assert told_of(tmp_path / "here", PROGRAM.replace(old, new)) == before


@pytest.mark.parametrize(
    ("old", "new"),
    [("UNUSED = 1", "UNUSED = 2"), ("return x + 99", "return x"), ("LIMIT", "# why\n    LIMIT")],
)
def test_what_is_not_used_of_a_module_changes_nothing(
    tmp_path: Path, before: str, old: str, new: str
) -> None:
    assert told_of(tmp_path / "here", helpers=HELPERS.replace(old, new, 1)) == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('{"the", "a"}', '{"the", "an"}'),
        ('{"the", "a"}', '["the", "a"]'),
        ("size = 3", "size = 4"),
        ("least=5", "least=6"),
        ("len(self.text) > least", "len(self.text) >= least"),
        ("class Word:", "class Word(dict):"),
        ("    @around\n", ""),
        ("function(*args) or ()", "function(*args) or [()]"),
        ("made(100)", "made(101)"),
        ("return x < limit", "return x <= limit"),
        ("factor=3", "factor=3.0"),
        ("offset=0", "offset=1"),
        ("x * factor + offset", "x * factor - offset"),
        ("y + 1", "y + 2"),
        ("(lambda y: y + 1)", "(lambda y: y - -1)"),
        ("line.split()", "line.split(',')"),
        ("helpers.LIMIT", "helpers.UNUSED"),
        ("import twice as", "import once as"),
        ("yield word,", "yield word.lower(),"),
    ],
)
def test_what_runs_otherwise_is_another(tmp_path: Path, before: str, old: str, new: str) -> None:
    assert old in PROGRAM
    assert told_of(tmp_path / "here", PROGRAM.replace(old, new, 1)) != before


@pytest.mark.parametrize(
    ("old", "new"),
    [("LIMIT = 10", "LIMIT = 11"), ("2 * once(x)", "3 * once(x)"), ("return x\n", "return -x\n")],
)
def test_what_a_local_module_does_otherwise_is_another(
    tmp_path: Path, before: str, old: str, new: str
) -> None:
    assert old in HELPERS
    assert told_of(tmp_path / "here", helpers=HELPERS.replace(old, new, 1)) != before


def test_a_module_that_a_function_imports_counts(tmp_path: Path) -> None:
    program = "def map(line, params):\n    import helpers\n    return helpers.LIMIT"

    first = told_of(tmp_path / "here", program)

    assert told_of(tmp_path / "here", program) == first
    assert told_of(tmp_path / "here", program, HELPERS.replace("LIMIT = 10", "LIMIT = 11")) != first
    assert told_of(tmp_path / "here", program, HELPERS.replace("UNUSED = 1", "UNUSED = 2")) == first


def test_code_that_may_reach_anything_depends_on_all_of_a_module(tmp_path: Path) -> None:
    program = "import helpers\n\ndef map(line, params):\n    return getattr(helpers, line)"

    first = told_of(tmp_path / "here", program)

    assert told_of(tmp_path / "here", program, HELPERS.replace("UNUSED = 1", "UNUSED = 2")) != first


def test_code_that_reads_its_own_globals_depends_on_all_of_them(tmp_path: Path) -> None:
    program = "A = 1\n\ndef map(line, params):\n    return globals()[line]"

    first = told_of(tmp_path / "here", program)

    assert told_of(tmp_path / "here", program.replace("A = 1", "A = 2")) != first


# -- values


def identity(value: Any) -> str:
    return identity_of(value, distribution_of)


def even(x: int) -> bool:
    return x == 0 or odd(x - 1)


def odd(x: int) -> bool:
    return x != 0 and even(x - 1)


def test_functions_that_call_each_other_have_an_end() -> None:
    assert identity(even) == identity(even) != identity(odd)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Params(limit=3, names=["a"], when=datetime(2026, 1, 1, tzinfo=UTC), price=Decimal("1.50")),
        lambda: functools.partial(func.csv_reader, delimiter=";"),
        lambda: func.csv_reader(delimiter=";"),
        lambda: {frozenset({"a", "b"}): range(3), 1.5: b"x", None: ...},
        lambda: [Path("/a"), __import__("re").compile("a+"), even],
        lambda: __import__("numpy").arange(5),
    ],
)
def test_equal_values_are_one(make: Callable[[], Any]) -> None:
    assert identity(make()) == identity(make())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, True),
        (1, 1.0),
        (0.0, -0.0),
        ("1", b"1"),
        ((1, 2), [1, 2]),
        ([1, [2]], [[1], 2]),
        (Params(limit=3), Params(limit=4)),
        (Params(limit=3), Params(most=3)),
        (func.csv_reader(delimiter=";"), func.csv_reader(delimiter=",")),
        (functools.partial(even, 1), functools.partial(even, 2)),
        ({"a": 1}, {"a": 2}),
        (Decimal("1.5"), Decimal("1.50")),
        (str.upper, str.lower),
        ([].append, [1].append),
    ],
)
def test_values_that_differ_are_two(one: Any, other: Any) -> None:
    assert identity(one) != identity(other)


def test_who_holds_himself_has_an_identity() -> None:
    held: list[Any] = [1]
    held.append(held)

    assert identity(held) == identity(held)


def test_what_cannot_be_told_is_named_with_its_place() -> None:
    lock = threading.Lock()

    def map(line: str, params: Any) -> Any:
        return lock

    with pytest.raises(CannotTell, match=r"^variable lock: a lock: "):
        identity(map)


def test_another_version_of_a_package_is_another() -> None:
    import msgpack

    def packed(value: Any) -> bytes:
        return bytes(msgpack.packb(value))

    assert identity_of(packed, distribution_of) != identity_of(packed, lambda name: (name, "99"))


def test_a_package_of_which_nobody_knows_the_version_cannot_be_told() -> None:
    import msgpack

    with pytest.raises(CannotTell, match="it uses msgpack, and nothing says which version that is"):
        identity_of(msgpack.packb, lambda _: None)
