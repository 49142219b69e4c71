"""The daily job: a directory grows by a file a day, and each run with ``reuse`` maps what is new."""

from __future__ import annotations

import importlib
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from disco_rq import result_iterator
from disco_rq.outputs.addresses import preferred_node
from tests.cluster.conftest import wait_until
from tests.nodes import NodeCluster

PROGRAM = """
from disco_rq.func import kvgroup
from daily_helper import weight


def map(line, params):
    counter("lines")
    for word in line.split():
        yield word, weight()


def reduce(pairs, params):
    for word, weights in kvgroup(pairs):
        yield word, sum(weights)
"""
HELPER = """
def weight():
    return 1
"""
DAYS = 30


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the program is."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return tmp_path


def imported(home: Path, helper: str, program: str) -> ModuleType:
    for name, text in (("daily_helper", helper), ("daily_program", program)):
        (home / f"{name}.py").write_text(text)
        sys.modules.pop(name, None)
    importlib.invalidate_caches()
    return importlib.import_module("daily_program")


def test_thirty_days_of_a_daily_job(nodes: NodeCluster, home: Path) -> None:
    nodes.master()
    nodes.node("n1")
    nodes.node("n2")
    nodes.wait_ready()
    logs = home / "logs"
    logs.mkdir()
    words: dict[int, str] = {}
    helper, program, factor = HELPER, PROGRAM, 1
    outputs: list[str] = []  # of the maps of the day before
    for day in range(1, DAYS + 1):
        words[day] = f"day{day} all"
        (logs / f"{day:02}").write_text(words[day])
        to_map = 1
        if day == 10:  # the code of a helper module changes
            helper, factor, to_map = HELPER.replace("return 1", "return 2"), 2, day
        elif day == 12:  # a comment
            program = f"# as every day\n{PROGRAM}"
        elif day == 15:  # a file is written again
            words[3] = "other all all"
            (logs / "03").write_text(words[3])
            to_map = 2
        elif day == 20:  # a node dies
            to_map += sum(preferred_node(address) == "n1" for address in outputs)
            nodes.nodes["n1"].kill()
            wait_until(lambda: not nodes.slots("n1"))
        code: Any = imported(home, helper, program)
        job = nodes.disco.new_job("daily", [logs], map=code.map, reduce=code.reduce, sort=True, reuse=True)
        found = dict(result_iterator(job.wait(timeout=60)))
        info = job.jobinfo()
        assert found == {word: n * factor for word, n in Counter(" ".join(words.values()).split()).items()}, (
            day
        )
        assert info["counters"] == {"lines": day}, day
        assert day - info["reused"] == to_map, (day, info["reuse"])
        committed = nodes.disco.session.store.outputs(job.name)
        outputs = [address for task, address in committed.items() if task.phase == "map"]
