"""Results are on the disk before they count, so that a power cut takes none that was told."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

LOGS = """
import os
sync, rename = os.fsync, os.rename
def say(line):
    with open(os.environ["SAID"], "a") as said:
        said.write(line + chr(10))
def fsync(fd):
    say("sync " + os.readlink(f"/proc/self/fd/{fd}"))
    sync(fd)
def renamed(old, new, **how):
    rename(old, new, **how)
    say(f"name {new}")
os.fsync, os.rename, os.replace = fsync, renamed, renamed
"""
PROGRAM = """
import sys
from disco_rq import Disco, result_iterator
with Disco(workers=1) as disco:
    more = {"save": sys.argv[2]} if len(sys.argv) > 2 else {}
    size = int(sys.argv[1])
    job = disco.new_job(
        "power", ["raw://a"], map=lambda e, p: [(e, "v" * size)], reduce=lambda pairs, p: pairs, **more
    )
    print(len(list(result_iterator(job.wait(timeout=30)))))
"""


@pytest.fixture
def played(tmp_path: Path) -> Any:
    """``played(size, save)``: the job's syncs and renames, in their order."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(LOGS)

    def play(*words: str, **environment: str) -> list[str]:
        said = tmp_path / "said"
        said.write_text("")
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *words],
            env={**os.environ, "PYTHONPATH": str(tmp_path / "site"), "SAID": str(said), **environment},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.stdout, done.stderr) == ("1\n", "")
        lines = said.read_text().splitlines()
        return [line for line in lines if "power@" in line or ".out" in line or "/saved/" in line]

    return play


@pytest.mark.parametrize("size", ["10", "1000000"], ids=["small", "large"])
def test_a_result_is_on_the_disk_with_its_name_and_its_directory(played: Any, size: str) -> None:
    lines = played(size)

    named = next(i for i, line in enumerate(lines) if line.startswith("name ") and "/reduce-0.1" in line)
    directory = lines[named].removeprefix("name ").rpartition("/")[0]
    assert f"sync {directory}/reduce-0.1" in lines[named:]
    assert f"sync {directory}" in lines[named:]
    # what a map has made for the reduces can be made again
    mapped = next(i for i, line in enumerate(lines) if line.startswith("name ") and "/map-0.1" in line)
    assert not any(line.startswith("sync ") for line in lines[:mapped])


def test_a_saved_result_is_on_the_disk_too(played: Any, tmp_path: Path) -> None:
    lines = played("10", str(tmp_path / "saved"))

    synced = [line for line in lines if line.startswith("sync ") and "/saved/" in line]
    assert any("part-" in line for line in synced)
    final = next(i for i, line in enumerate(lines) if line.startswith("name ") and "/part-" in line)
    assert any(line.startswith("sync ") and "part-" not in line for line in lines[final:])


def test_who_wants_speed_can_turn_it_off(played: Any) -> None:
    assert [line for line in played("10", DISCO_RQ_FSYNC="off") if line.startswith("sync ")] == []
