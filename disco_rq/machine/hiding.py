"""The secret is taken out of the environment of programs that run tasks, and of all that they start."""

from __future__ import annotations

import ctypes
import os

from disco_rq.settings import KEPT, SECRETS

__all__ = ["hide_secret"]


def hide_secret() -> None:
    """To be called when the settings are read, before anything is started. Idempotent.

    A forked child shows the environment with which its ancestor was started (``/proc/PID/environ``,
    ``ps e``), whatever became of the variables since: so the text itself is overwritten where it lies.
    """
    for name in SECRETS:
        if name in os.environ:
            _overwrite(name.encode())
            del os.environ[name]
            os.environ[KEPT] = "1"


def _overwrite(name: bytes) -> None:
    getenv = ctypes.CDLL(None).getenv
    getenv.argtypes, getenv.restype = [ctypes.c_char_p], ctypes.c_void_p
    place = getenv(name)
    if place:
        # Not with zeros: for who reads the environment these are its end.
        ctypes.memset(place, ord("*"), len(ctypes.string_at(place)))
