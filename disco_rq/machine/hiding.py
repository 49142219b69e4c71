"""The secret is kept from tasks: out of the environment of the programs that run them, and of all that they
start, and out of the memory that tasks can read.
"""

from __future__ import annotations

import ctypes
import os

from disco_rq.machine.kernel import prctl
from disco_rq.settings import KEPT, SECRETS, WEBHOOK_SECRET

__all__ = ["close_memory", "forget", "hide_secret"]

_PR_SET_DUMPABLE = 4


def hide_secret() -> None:
    """To be called when the settings are read, before anything is started. Idempotent.

    A forked child shows the environment with which its ancestor was started (``/proc/PID/environ``,
    ``ps e``), whatever became of the variables since: so the text itself is overwritten where it lies.
    """
    if any(name in os.environ for name in (*SECRETS, WEBHOOK_SECRET, KEPT)):
        close_memory()
    for name in (*SECRETS, WEBHOOK_SECRET):
        if name in os.environ:
            _overwrite(name.encode())
            del os.environ[name]
            if name in SECRETS:
                os.environ[KEPT] = "1"


def close_memory() -> None:
    """From now on no process of the same user reads the memory of this one (``/proc/PID/mem``, ptrace), or
    finds it in a core dump; nor that of what it forks (Linux; elsewhere nothing). Root still does.
    """
    if prctl is not None:
        prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def forget(secret: bytes | None) -> None:
    """For a process that is forked to run tasks: the secret is gone here, whatever names it, in frames of
    functions that return no more, too. What the interpreter has freed is not looked for.

    The bytes are overwritten where they lie. One byte alone is left, as the interpreter has such ones once.
    """
    if secret is not None and len(secret) > 1:
        place = ctypes.pythonapi.PyBytes_AsString
        place.argtypes, place.restype = [ctypes.py_object], ctypes.c_void_p
        ctypes.memset(place(secret), ord("*"), len(secret))
    if prctl is not None:
        prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)  # a task may be debugged, and profiled


def _overwrite(name: bytes) -> None:
    getenv = ctypes.CDLL(None).getenv
    getenv.argtypes, getenv.restype = [ctypes.c_char_p], ctypes.c_void_p
    place = getenv(name)
    if place:
        # Not with zeros: for who reads the environment these are its end.
        ctypes.memset(place, ord("*"), len(ctypes.string_at(place)))
