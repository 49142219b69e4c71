"""What code does, as a digest: which changes of a program count, and which do not."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import threading
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from disco_rq import Params, func
from disco_rq.client.identity import CannotTell, identity_of, same_code
from disco_rq.packing.shipping import ship, unship

PROGRAM = '''
import json
import re
from collections import namedtuple
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache, partial, wraps

import identity_helper
from identity_helper import scaled

LIMIT = 10
WORDS = {"a": 1, "b": [2, 3]}
STOP = {"the", "a", "of"}
PATTERN = re.compile("[a-z]+")
UNUSED = 1


def twice(function):
    @wraps(function)
    def call(*args):
        return function(*args) * 2
    return call


def logged(level):
    def decorate(function):
        def call(*args):
            return function(*args) or level
        return call
    return decorate


@twice
def double(x):
    return x + 1


@logged(3)
def noted(x):
    return x


@lru_cache(maxsize=100)
def cached(x):
    return x * 2


class Kind(Enum):
    ODD = 1
    EVEN = 2


Point = namedtuple("Point", "x y")


@dataclass
class Row:
    name: str
    size: int = 7

    def weight(self):
        return self.size * 2


class Base:
    factor = 2

    class Inner:
        def value(self):
            return 5

    def __init__(self, n=1):
        self.n = n

    @property
    def much(self):
        return self.n * self.factor

    @staticmethod
    def plain(x):
        return x


class Child(Base):
    def call(self):
        return self.much + 1


CHILD = Child(4)
add = lambda a, b=2: a + b
times = partial(pow, 2)


def closed(n):
    m = n + 1

    def inner(x):
        return x * m

    return inner


INNER = closed(3)


def recursive(n):
    """Down to nothing."""
    return 0 if n <= 0 else other(n - 1)


def other(n):
    return recursive(n - 1)


def map(line, params, more=1, *, key="k"):
    # what it does
    import identity_late
    for word in PATTERN.findall(line):
        found = [w for w in word if w not in STOP and len(w) < LIMIT]
        yield json.dumps(found), {
            1: WORDS, 2: double(more), 3: noted(1), 4: cached(2), 5: Kind.ODD, 6: Point(1, 2),
            7: Row("r").weight(), 8: CHILD.call(), 9: add(1), 10: times(3), 11: INNER(2), 12: recursive(3),
            13: scaled(2), 14: identity_helper.shifted(1), 15: Base.plain(1), 16: Base.Inner().value(),
            17: identity_late.late(key), 18: {k: v for k, v in WORDS.items()}, 19: (lambda q: q + 1)(2),
            20: f"{line!r:>5}", 21: line[1:-1],
        }
'''
HELPER = """
FACTOR = 3
def scaled(x):
    return x * FACTOR
def shifted(x):
    return x + _offset()
def _offset():
    return 1
def never_used():
    return 1
"""
LATE = """
def late(x):
    return x
"""
SIMPLE_JSON = """
def dumps(x):
    return str(x)
"""
TOGETHER = [
    # what is changed, and whether the maps have to run again
    ("a global", "LIMIT = 10", "LIMIT = 11", True),
    ("a global dict", '"b": [2, 3]', '"b": [2, 4]', True),
    ("a global set", '"the", "a", "of"', '"the", "a", "on"', True),
    ("a pattern", '"[a-z]+"', '"[a-z]*"', True),
    ("a default", "more=1", "more=2", True),
    ("a default of a keyword", 'key="k"', 'key="l"', True),
    ("a constant", "double(more)", "double(more + 1)", True),
    ("a decorator's code", "* 2\n    return call", "* 3\n    return call", True),
    ("a decorator that goes", "@twice\n", "", True),
    ("a decorator's argument", "@logged(3)", "@logged(4)", True),
    ("a function behind a cache", "return x * 2\n\n\nclass Kind", "return x * 3\n\n\nclass Kind", True),
    ("a cache's size", "maxsize=100", "maxsize=200", True),
    ("a member of an enum", "ODD = 1", "ODD = 3", True),
    ("a field of a named tuple", '"x y"', '"x z"', True),
    ("a default of a dataclass", "size: int = 7", "size: int = 8", True),
    ("a method of a dataclass", "self.size * 2", "self.size * 3", True),
    ("an attribute of a class", "factor = 2", "factor = 3", True),
    ("a base class's property", "self.n * self.factor", "self.n + self.factor", True),
    ("a static method", "def plain(x):\n        return x", "def plain(x):\n        return -x", True),
    ("a nested class", "return 5", "return 6", True),
    ("an object", "CHILD = Child(4)", "CHILD = Child(5)", True),
    ("a lambda", "a + b\n", "a - b\n", True),
    ("a lambda's default", "b=2", "b=3", True),
    ("a lambda within", "q + 1", "q + 2", True),
    ("a partial function", "partial(pow, 2)", "partial(pow, 3)", True),
    ("what is in a closure", "INNER = closed(3)", "INNER = closed(4)", True),
    ("a closure's code", "return x * m", "return x + m", True),
    ("a comprehension", "len(w) < LIMIT", "len(w) > LIMIT", True),
    ("a comprehension of a dict", "{k: v for", "{v: k for", True),
    ("a function called by a called one", "return recursive(n - 1)", "return recursive(n - 2)", True),
    ("a format", "!r:>5", "!r:>6", True),
    ("a slice", "line[1:-1]", "line[1:-2]", True),
    ("another name of a builtin", "len(w)", "ord(w)", True),
    ("an import", "import json\n", "import simple_json as json\n", True),
    ("a global nobody uses", "UNUSED = 1", "UNUSED = 2", False),
    ("a comment", "# what it does", "# what it does, in other words\n    # and more of them", False),
    ("lines above", "LIMIT = 10", "\n\n\n\nLIMIT = 10", False),
    ("a docstring", '"""Down to nothing."""', '"""To nothing."""', False),
    ("a docstring that goes", '    """Down to nothing."""\n', "", False),
    ("the order of functions", "UNUSED = 1", "UNUSED = 1\n\n\ndef nobody_calls():\n    return 5\n", False),
    ("an annotation", "def other(n):", "def other(n: int) -> int:", False),
    ("brackets and blanks", "return function(*args) * 2", "return (function( *args )*2)", False),
]
OF_HELPERS = [
    ("a function of a helper", "return x * FACTOR", "return x + FACTOR", True),
    ("a global of a helper", "FACTOR = 3", "FACTOR = 4", True),
    ("what a helper's function calls", "return 1\ndef never", "return 2\ndef never", True),
    ("what nobody uses of a helper", "never_used():\n    return 1", "never_used():\n    return 2", False),
    ("a comment in a helper", "FACTOR = 3", "# three\nFACTOR = 3", False),
]


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Writes the program and its helpers, and imports them anew."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def imported(name: str = "identity_program", **texts: str) -> Any:
        modules = {"identity_helper": HELPER, "identity_late": LATE, "simple_json": SIMPLE_JSON, **texts}
        modules[name] = modules.pop("program", PROGRAM)
        for module, text in modules.items():
            (tmp_path / f"{module}.py").write_text(text)
            sys.modules.pop(module, None)
        importlib.invalidate_caches()
        return importlib.import_module(name)

    yield imported
    for module in ("identity_program", "identity_helper", "identity_late", "simple_json", "other_name"):
        sys.modules.pop(module, None)


def digest(program: Any) -> str:
    return identity_of(program.map).digest


@pytest.mark.parametrize(
    ("before", "after", "counts"), [one[1:] for one in TOGETHER], ids=[one[0] for one in TOGETHER]
)
def test_a_change_of_the_program(programs: Any, before: str, after: str, counts: bool) -> None:
    assert PROGRAM.count(before) == 1, before
    first = digest(programs())

    assert (digest(programs(program=PROGRAM.replace(before, after))) != first) is counts


@pytest.mark.parametrize(
    ("before", "after", "counts"), [one[1:] for one in OF_HELPERS], ids=[one[0] for one in OF_HELPERS]
)
def test_a_change_of_a_helper(programs: Any, before: str, after: str, counts: bool) -> None:
    assert HELPER.count(before) == 1
    first = digest(programs())

    assert (digest(programs(identity_helper=HELPER.replace(before, after))) != first) is counts


def test_a_module_that_is_imported_late_counts(programs: Any) -> None:
    first = digest(programs())

    assert digest(programs(identity_late=LATE.replace("return x", "return x * 2"))) != first


def test_the_name_and_place_of_the_file_do_not_count(programs: Any) -> None:
    assert digest(programs()) == digest(programs(name="other_name"))


def test_another_process_tells_the_same(programs: Any, tmp_path: Path) -> None:
    first = digest(programs())
    code = (
        f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(Path(__file__).parents[3])!r}]\n"
        "import identity_program\nfrom disco_rq.client.identity import identity_of\n"
        "print(identity_of(identity_program.map).digest)"
    )
    for seed in ("1", "2"):
        env = {"PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env
        )
        assert done.stdout.strip() == first


def test_what_was_shipped_tells_the_same(programs: Any) -> None:
    program = programs()

    assert same_code(program.map, unship(ship(program.map)))


def test_another_version_of_a_package_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    import msgpack

    def packs(line: str, params: Any) -> list[Any]:
        return [(msgpack.packb(line), 1)]

    first = identity_of(packs).digest
    monkeypatch.setattr("disco_rq.client.identity.distribution_of", lambda root: (root, "99.0"))

    assert identity_of(packs).digest != first


def test_another_build_of_a_module_of_c_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    built = types.ModuleType("built_in_place")
    built.__file__ = str(tmp_path / "built_in_place.so")
    monkeypatch.setitem(sys.modules, "built_in_place", built)
    Path(built.__file__).write_bytes(b"one")

    def maps(line: str, params: Any) -> Any:
        return built.maps(line)

    first = identity_of(maps).digest
    assert identity_of(maps).digest == first
    Path(built.__file__).write_bytes(b"two")
    assert identity_of(maps).digest != first


def test_a_package_without_a_version_cannot_be_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = types.ModuleType("of_no_version")
    package.__file__ = str(tmp_path / "site-packages/of_no_version/__init__.py")
    monkeypatch.setitem(sys.modules, "of_no_version", package)

    with pytest.raises(CannotTell, match="which version of the package of_no_version"):
        identity_of(lambda line, params: package.maps(line))


def test_another_python_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    first = identity_of(func.sum_combiner, re.sub).digest
    monkeypatch.setattr("platform.python_version", lambda: "3.99.1")

    assert identity_of(func.sum_combiner, re.sub).digest != first


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Params(n=1), Params(n=2)),
        ({"a": [1, (2, 3)]}, {"a": [1, (2, 4)]}),
        (1, True),
        (0.0, -0.0),
        ("1", 1),
        (b"a", "a"),
        ([1, 2], (1, 2)),
        ({1, 2}, frozenset((1, 2))),
        (func.csv_reader(), func.csv_reader(delimiter=";")),
    ],
)
def test_values_that_differ(one: Any, other: Any) -> None:
    assert not same_code(one, other)
    assert same_code(one, unship(ship(one)))


def test_objects_that_refer_to_themselves_are_told() -> None:
    def ring() -> list[Any]:
        one: list[Any] = [1]
        one.append(one)
        return one

    assert same_code(ring(), ring())


LOCK = threading.Lock()


def uses_a_lock(line: str) -> str:
    with LOCK:
        return line


def uses_eval(line: str) -> Any:
    return eval(line)


def test_what_cannot_be_told_is_said() -> None:
    with pytest.raises(CannotTell, match=r"_thread\.lock, a class of C"):
        identity_of(uses_a_lock)
    with pytest.raises(CannotTell, match="uses eval, and may reach anything"):
        identity_of(uses_eval)
    with pytest.raises(CannotTell, match="too much to be compared"):
        identity_of(list(range(100)), most=50)
    assert not same_code(uses_eval, lambda line: line)


def test_names_of_the_runtime_are_told() -> None:
    def maps(line: str, params: Any) -> Any:
        put(line, this_partition())  # type: ignore[name-defined]  # noqa: F821

    assert identity_of(maps).runtime == {"put", "this_partition"}
