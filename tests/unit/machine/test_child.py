"""Asking a child process: its answer, whole, or none; nothing else of it stays."""

from __future__ import annotations

import os
import threading
import time
import warnings
from pathlib import Path

import psutil

from disco_rq.machine.child import answer_of_child, fork

STATE: list[int] = []


def test_the_answer_comes_and_the_change_does_not() -> None:
    def work() -> bytes:
        STATE.append(1)
        print("heard by nobody")
        return b"x" * 1_000_000

    assert answer_of_child(work, 30) == b"x" * 1_000_000
    assert STATE == []


def test_one_that_raises_or_dies_has_no_answer() -> None:
    def dies() -> bytes:
        os._exit(3)

    def fails() -> bytes:
        raise ValueError

    assert [answer_of_child(dies, 30), answer_of_child(fails, 30)] == [None, None]


def test_one_that_takes_too_long_is_killed_and_buried(tmp_path: Path) -> None:
    def hangs() -> bytes:
        (tmp_path / "pid").write_text(str(os.getpid()))
        time.sleep(600)
        return b""

    assert answer_of_child(hangs, 1) is None
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))


def test_one_that_asks_a_debugger_or_its_terminal_is_not_waited_for() -> None:
    def asks() -> bytes:
        breakpoint()
        return input().encode()

    assert answer_of_child(asks, 30) is None


def test_a_fork_beside_threads_is_known_to_its_parent_though_warnings_are_errors() -> None:
    waits = threading.Event()
    threading.Thread(target=waits.wait, daemon=True).start()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if not (pid := fork()):
            os._exit(7)
    waits.set()

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
