"""Nobody sits in front of a task: whatever asks for input is told at once, and so is what it starts."""

from __future__ import annotations

import getpass
import os
import pdb
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from disco_rq import Disco, JobError, local, result_iterator
from tests.cluster.conftest import processes_of, wait_until
from tests.cluster.small_jobs import death, pairs, run
from tests.nodes import NodeCluster, Part


def read_all(entry: str, params: Any) -> list[tuple[str, Any]]:
    child = subprocess.run(["cat"], capture_output=True).stdout
    return [(entry, (child, sys.stdin.read(), os.read(0, 10)))]


def asks(entry: str, params: Any) -> list[tuple[str, int]]:
    return [(input("? "), 1)]


def breaks(entry: str, params: Any) -> list[tuple[str, int]]:
    breakpoint()
    return [(entry, 1)]


def traces(entry: str, params: Any) -> list[tuple[str, int]]:
    pdb.set_trace()
    return [(entry, 1)]


def asks_for_a_password(entry: str, params: Any) -> list[tuple[str, int]]:
    return [(getpass.getpass(), 1)]


def opens_the_terminal(entry: str, params: Any) -> list[tuple[str, str]]:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR))
    except OSError:
        return [(entry, "none")]
    return [(entry, "a terminal")]


def test_standard_input_of_a_task_and_of_what_it_starts_is_empty(disco: Disco) -> None:
    assert pairs(run(disco, map=read_all)) == [("entry", (b"", "", b""))]


@pytest.mark.parametrize("asking", [asks, breaks, traces, asks_for_a_password])
def test_a_task_that_asks_is_told_that_there_is_no_terminal(
    disco: Disco, asking: Callable[[str, Any], list[tuple[str, int]]]
) -> None:
    told = death(disco, map=asking)

    assert "no terminal" in told
    assert "disco_rq.local.run" in told


def test_an_end_of_file_that_is_not_standard_inputs_is_told_as_it_is(disco: Disco) -> None:
    def ends(entry: str, params: Any) -> list[tuple[str, int]]:
        raise EOFError("EOF when reading a block")

    assert "no terminal" not in death(disco, map=ends)


def test_another_debugger_that_the_environment_names_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONBREAKPOINT", "0")
    with Disco(workers=1) as cluster:
        assert pairs(run(cluster, map=breaks)) == [("entry", 1)]


def test_no_process_of_an_embedded_cluster_but_its_owner_waits_for_input(disco: Disco) -> None:
    for process in processes_of(disco)[1:]:
        assert Path(f"/proc/{process.pid}/fd/0").readlink() == Path(os.devnull)


ON_A_TERMINAL = "import pty, sys; pty.spawn(sys.argv[1:])"


def test_a_node_on_a_terminal_gives_its_tasks_neither_its_input_nor_the_terminal() -> None:
    with NodeCluster() as cluster:
        cluster.master()
        node = [sys.executable, "-m", "disco_rq.cli", "node", "--node", "n", "--data", str(cluster.data("n"))]
        cluster.nodes["n"] = Part("n", [sys.executable, "-c", ON_A_TERMINAL, *node], cluster, is_python=False)
        wait_until(lambda: cluster.slots("n"))

        assert pairs(run(cluster.disco, map=opens_the_terminal)) == [("entry", "none")]
        assert pairs(run(cluster.disco, map=read_all)) == [("entry", (b"", "", b""))]


def test_local_run_keeps_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.input", lambda _prompt: "typed")

    assert list(result_iterator(local.run("x", ["raw://x"], map=asks).wait())) == [("typed", 1)]


def test_local_run_says_nothing_of_clusters() -> None:
    def at_its_end(entry: str, params: Any) -> list[tuple[str, int]]:
        raise EOFError("EOF when reading a line")

    with pytest.raises(JobError) as caught:
        local.run("x", ["raw://x"], map=at_its_end)
    assert "no terminal" not in str(caught.value)
