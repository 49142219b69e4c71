"""The modules keep to DESIGN.md; and each check of that notices a breach."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import disco_rq
from tests.unit.house import architecture as arch

PACKAGE = Path(*disco_rq.__path__)
TESTS = Path(__file__).parents[2]

Check = Callable[[Path], Iterator[str]]


@pytest.mark.parametrize(
    "check",
    [
        arch.crowded_root,
        arch.key_literals,
        arch.large_classes,
        arch.long_files,
        arch.long_functions,
    ],
)
def test_the_package_keeps_to_the_design(check: Check) -> None:
    assert list(check(PACKAGE)) == []


def test_no_test_file_is_too_long() -> None:
    assert list(arch.long_files(TESTS)) == []


def tree(directory: Path, **files: str) -> Path:
    """A package with these files; two underscores in a name stand for a folder."""
    root = directory / arch.PACKAGE
    for name, text in files.items():
        suffix = ".lua" if name.startswith("scripts__") else ".py"
        path = root / (name.replace("__", "/") + suffix)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("check", "files"),
    [
        (arch.crowded_root, {f"part{number}": "" for number in range(13)}),
        (arch.large_classes, {"store": "class A:\n" + "    def a(self): ...\n" * 21}),
        (arch.long_functions, {"store": "def a():\n" + "    x = 1\n" * 50}),
        (arch.key_literals, {"store": 'KEY = "disco:jobs"'}),
        (arch.key_literals, {"store": 'def key(name): return f"disco:job:{name}"'}),
        (arch.key_literals, {"scripts__commit": 'redis.call("GET", "disco:jobs")'}),
        (arch.long_files, {"store": "x = 1\n" * 451}),
        (arch.long_files, {"scripts__commit": "-- x\n" * 451}),
    ],
)
def test_a_breach_is_noticed(check: Check, files: dict[str, str], tmp_path: Path) -> None:
    assert len(list(check(tree(tmp_path, **files)))) >= 1


@pytest.mark.parametrize(
    ("check", "files"),
    [
        (arch.crowded_root, {f"part{number}": "" for number in range(12)}),
        (arch.large_classes, {"store": "class A:\n" + "    def a(self): ...\n" * 20}),
        (arch.long_functions, {"store": "def a():\n" + "    x = 1\n" * 49}),
        (arch.key_literals, {"store__keys": 'JOBS = "disco:jobs"'}),
        (arch.key_literals, {"inputs": '"""Not `disco:job` in prose."""\nSCHEME = "disco://"'}),
        (arch.key_literals, {"scripts__commit": "-- KEYS[1] disco:job:<name>"}),
        (arch.long_files, {"store": "x = 1\n" * 450}),
    ],
)
def test_what_the_design_allows_passes(check: Check, files: dict[str, str], tmp_path: Path) -> None:
    assert list(check(tree(tmp_path, **files))) == []
