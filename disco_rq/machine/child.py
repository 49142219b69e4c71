"""Asking a child process: it may change whatever it likes, and nothing of it is here afterwards."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
import warnings
from collections.abc import Callable
from typing import NoReturn

from disco_rq.machine.orphans import die_with_parent

__all__ = ["answer_of_child", "fork"]

_READ_BYTES = 1 << 16


def fork() -> int:
    """``os.fork`` that raises nothing once there is a child, whose parent would not know of it.

    It warns where there are threads, and Python 3.15 raises that where warnings are errors (``-W error``).
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def answer_of_child(work: Callable[[], bytes], limit_s: float) -> bytes | None:
    """What ``work`` returns in a fork of this process, which prints to nobody.

    None if it raises, dies, or takes longer than ``limit_s``: then it is killed.
    """
    parent, (reading, writing) = os.getpid(), os.pipe()
    pid = fork()
    if not pid:
        os.close(reading)
        _answer(work, writing, parent)
    os.close(writing)
    try:
        return _received(reading, time.monotonic() + limit_s)
    finally:
        os.close(reading)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _received(reading: int, deadline: float) -> bytes | None:
    """All of an answer: a ``+`` stands behind what is whole."""
    answer = bytearray()
    while (left_s := deadline - time.monotonic()) > 0 and select.select([reading], [], [], left_s)[0]:
        data = os.read(reading, _READ_BYTES)
        if not data:
            break
        answer += data
    return bytes(answer[:-1]) if answer.endswith(b"+") else None


def _answer(work: Callable[[], bytes], writing: int, parent: int) -> NoReturn:
    try:
        die_with_parent(parent)
        nobody = os.open(os.devnull, os.O_RDWR)
        for fd in range(3):
            os.dup2(nobody, fd)
        sys.stdin, sys.stdout = open(os.devnull), open(os.devnull, "w")  # noqa: SIM115
        sys.stderr = sys.stdout
        sys.breakpointhook = lambda *_, **__: None
        with open(writing, "wb") as answer:
            answer.write(work() + b"+")
    finally:
        os._exit(0)
