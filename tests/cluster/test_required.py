"""Jobs that bring modules, files, shared libraries and programs along, to workers that have none of them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from disco_rq import Disco, Job
from tests.cluster.small_jobs import data_dir, death, pairs, run
from tests.conftest import require_program


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory of modules that the client can import and no worker can."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_modules_in_required_files_are_there_without_an_import(disco: Disco, tmp_path: Path) -> None:
    (tmp_path / "extramodule1.py").write_text("def magic(x):\n    return x * x\n")

    def both(entry: str, params: Any) -> list[tuple[str, int]]:
        x = extramodule1.magic(int(entry))  # type: ignore[name-defined]  # noqa: F821
        return [("", extramodule2.kungfu(x))]  # type: ignore[name-defined]  # noqa: F821

    for files in (
        {"extramodule1.py": (tmp_path / "extramodule1.py").read_bytes()},
        [tmp_path / "extramodule1.py"],
    ):
        second = tmp_path / "extramodule2.py"
        second.write_text("def kungfu(x):\n    return x + 2\n")
        job = run(
            disco,
            input=["raw://123"],
            map=both,
            required_files=files,
            required_modules=["extramodule1", ("extramodule2", second)],
        )
        assert pairs(job) == [("", 123**2 + 2)]


def test_required_modules_are_imported_as_the_files_they_are(disco: Disco, here: Path) -> None:
    (here / "pack").mkdir()
    (here / "pack" / "__init__.py").write_text("")
    (here / "pack" / "stop.txt").write_text("the a an")
    (here / "pack" / "words.py").write_text(
        textwrap.dedent("""
            from pathlib import Path
            from pack import shapes
            STOP = Path(__file__).with_name("stop.txt").read_text().split()
            def map(line, params):
                return [(word, shapes.Length(len(word)).n) for word in line.split() if word not in STOP]
        """)
    )
    (here / "pack" / "shapes.py").write_text(
        "class Length:\n    def __init__(self, n):\n        self.n = n\n"
    )
    import pack.words  # type: ignore[import-not-found]

    job = run(disco, input=["raw://the fox an owl"], map=pack.words.map, required_modules=["pack"])

    assert pairs(job) == [("fox", 3), ("owl", 3)]


def test_required_files_lie_in_the_working_directory_of_each_task(disco: Disco, tmp_path: Path) -> None:
    (tmp_path / "stop.txt").write_text("the a an")

    def keep(line: str, params: Any) -> Iterator[tuple[str, int]]:
        with open("stop.txt") as file:
            stop = file.read().split()
        Path("stop.txt").unlink()  # its own link: the next task has one too
        yield from ((word, 1) for word in line.split() if word not in stop)

    job = run(
        disco, input=["raw://the fox", "raw://an owl"] * 4, map=keep, required_files=[tmp_path / "stop.txt"]
    )

    assert sorted(pairs(job)) == [("fox", 1)] * 4 + [("owl", 1)] * 4


def test_shared_libraries_are_found_by_ctypes_and_by_programs(disco: Disco, tmp_path: Path) -> None:
    compiler = require_program("gcc")
    (tmp_path / "twice.c").write_text("int twice(int n) { return 2 * n; }\n")
    (tmp_path / "main.c").write_text(
        '#include <stdio.h>\nint twice(int);\nint main() { printf("%d", twice(21)); return 0; }\n'
    )
    for arguments in (
        ["-shared", "-fPIC", "-o", "libtwice.so", "twice.c"],
        ["-o", "answer", "main.c", "-L.", "-ltwice"],
    ):
        subprocess.run([compiler, *arguments], cwd=tmp_path, check=True)

    def both(entry: str, params: Any) -> list[tuple[int, str]]:
        import ctypes
        import subprocess

        library = ctypes.CDLL("./libtwice.so")
        told = subprocess.run(["./answer"], capture_output=True, text=True, check=True).stdout
        return [(library.twice(int(entry)), told)]

    files = [tmp_path / "libtwice.so", tmp_path / "answer"]
    assert pairs(run(disco, input=["raw://4"], map=both, required_files=files)) == [(8, "42")]


def test_nothing_of_it_is_there_for_the_next_job(disco: Disco) -> None:
    def look(entry: str, params: Any) -> list[tuple[str, Any]]:
        import importlib.util
        import os

        found = importlib.util.find_spec("only_here") is not None
        return [("found", (found, "LD_LIBRARY_PATH" in os.environ, [path.name for path in Path().iterdir()]))]

    files = {"only_here.py": b""}
    assert pairs(run(disco, map=look, required_files=files)) == [("found", (True, True, ["only_here.py"]))]
    assert pairs(run(disco, map=look)) == [("found", (False, False, []))]


def test_purge_leaves_none_of_its_files(disco: Disco) -> None:
    assert disco._cluster is not None
    job = run(
        disco,
        input=["raw://x"] * 20,
        map=lambda entry, params: [(entry, len(list(Path().iterdir())))],
        required_files={"secret_plan": b"x" * 1000},
    )
    assert pairs(job) == [("x", 1)] * 20
    assert (data_dir(disco, job) / "required" / "secret_plan").stat().st_mode & 0o777 == 0o400

    job.purge()

    assert not list(disco._cluster.directory.rglob("*secret_plan*"))
    assert not data_dir(disco, job).exists()


def test_params_may_be_of_classes_in_required_modules(disco: Disco, here: Path) -> None:
    (here / "limits.py").write_text(
        "class Limits:\n    def __init__(self, most):\n        self.most = most\n"
    )
    import limits  # type: ignore[import-not-found]

    def cut(line: str, params: Any) -> list[tuple[str, str]]:
        import limits

        assert isinstance(params, limits.Limits)
        return [(line[: params.most], type(params).__module__)]

    job = run(disco, input=["raw://abcdef"], map=cut, params=limits.Limits(3), required_modules=["limits"])
    assert pairs(job) == [("abc", "limits")]


def test_a_required_module_is_one_module_however_a_function_came_by_it(disco: Disco, here: Path) -> None:
    (here / "state.py").write_text("SEEN = []\n")
    import state  # type: ignore[import-not-found]

    def seen(entry: str, params: Any) -> list[tuple[str, list[str]]]:
        import state as imported

        state.SEEN.append("closure")
        imported.SEEN.append("imported")
        return [(entry, list(state.SEEN))]

    job = run(disco, map=seen, required_modules=["state"])
    assert pairs(job) == [("entry", ["closure", "imported"])]


def test_a_required_module_that_fails_on_the_node_ends_the_job_naming_it(disco: Disco) -> None:
    told = death(
        disco,
        map=lambda entry, params: [],
        required_files={"broken.py": b"import nosuchmodule_either"},
        required_modules=["broken"],
    )
    assert "need what this node does not have: No module named 'nosuchmodule_either'" in told


def test_local_modules_are_shipped_without_being_required(here: Path, disco: Disco) -> None:
    (here / "unlisted.py").write_text("def plus(n):\n    return n + 1\n")

    def bump(entry: str, params: Any) -> list[tuple[str, int]]:
        import unlisted  # type: ignore[import-not-found]

        return [(entry, unlisted.plus(int(entry)))]

    job: Job = run(disco, input=["raw://1"], map=bump)
    shutil.rmtree(here)
    assert pairs(job) == [("1", 2)]
