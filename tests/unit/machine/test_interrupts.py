"""A Ctrl-C that comes while the interpreter is at a callback."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import signal, time, weakref
from disco_rq.machine.interrupts import keep_interrupts
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may ignore it
keep_interrupts()
class Thing:
    def __del__(self):
        {in_destructor}
def callback(_):
    {in_callback}
thing = Thing()
kept = weakref.ref(thing, callback)
try:
    del thing
    time.sleep(60)
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.parametrize("at", ["in_destructor", "in_callback"])
def test_it_comes_once_more(at: str) -> None:
    statements = {"in_destructor": "pass", "in_callback": "pass", at: "signal.raise_signal(signal.SIGINT)"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(**statements)], capture_output=True, text=True, timeout=50
    )
    assert (done.stdout, done.stderr) == ("interrupted\n", "")


def test_another_error_there_is_told_as_ever() -> None:
    statements = {"in_destructor": "raise ValueError('odd')", "in_callback": "raise KeyboardInterrupt"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(**statements)], capture_output=True, text=True, timeout=50
    )
    assert done.stdout == "interrupted\n"
    assert "ValueError: odd" in done.stderr
