"""The modules keep to DESIGN.md; and each check of that notices a breach."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import disco_rq
from tests.unit import architecture as arch

PACKAGE = Path(*disco_rq.__path__)
TESTS = Path(__file__).parents[1]

Check = Callable[[Path], Iterator[str]]


@pytest.mark.parametrize(
    "check",
    [
        arch.modules_without_a_layer,
        arch.imports_against_the_layers,
        arch.strangers_that_meet,
        arch.imports_of_rq,
        arch.key_literals,
        arch.long_files,
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
        (arch.modules_without_a_layer, {"utils": ""}),
        (arch.imports_against_the_layers, {"store": "from disco_rq.client import Disco"}),
        (arch.imports_against_the_layers, {"model": "import disco_rq.store"}),
        (arch.imports_against_the_layers, {"model": "from disco_rq import store"}),
        (arch.imports_against_the_layers, {"store": "from disco_rq import Disco"}),
        (arch.imports_against_the_layers, {"planner": "def late():\n    from disco_rq.store import Store"}),
        (arch.imports_against_the_layers, {"worker": "from disco_rq.cli.progress import Live"}),
        (arch.strangers_that_meet, {"client": "from disco_rq.master import run_master"}),
        (arch.strangers_that_meet, {"master": "import disco_rq.worker"}),
        (arch.strangers_that_meet, {"horse": "from disco_rq.client import Disco"}),
        (
            arch.strangers_that_meet,
            {"client": "import disco_rq.embedded", "embedded": "import disco_rq.node"},
        ),
        (arch.imports_of_rq, {"client": "from rq import Queue"}),
        (arch.imports_of_rq, {"cli__jobs": "import rq.job"}),
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
        (arch.imports_against_the_layers, {"cli__jobs": "from disco_rq import Disco"}),
        (arch.imports_against_the_layers, {"stages": "from disco_rq.runtime import put"}),
        (arch.strangers_that_meet, {"node": "from disco_rq.horse import Horse"}),
        (arch.imports_of_rq, {"worker": "import rq"}),
        (arch.key_literals, {"keys": 'JOBS = "disco:jobs"'}),
        (arch.key_literals, {"inputs": '"""Not `disco:job` in prose."""\nSCHEME = "disco://"'}),
        (arch.key_literals, {"scripts__commit": "-- KEYS[1] disco:job:<name>"}),
        (arch.long_files, {"store": "x = 1\n" * 450}),
    ],
)
def test_what_the_design_allows_passes(check: Check, files: dict[str, str], tmp_path: Path) -> None:
    assert list(check(tree(tmp_path, **files))) == []
