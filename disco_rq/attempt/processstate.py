"""What a task can change in its process beside its surroundings: put back, or the process goes."""

from __future__ import annotations

import locale
import logging
import os
import resource
import signal
import sys
import threading
import warnings
from _signal import getsignal  # type: ignore[import-not-found]  # without names for numbers: a twentieth
from contextlib import suppress
from itertools import count

from disco_rq.inputs.filesystems import io_threads
from disco_rq.machine.children import has_children
from disco_rq.machine.kernel import IS_LINUX, PROC

__all__ = ["ProcessState"]

MAX_LEFT_OPEN = 64
"""So many descriptors a process may have gained, for what its tasks keep from one to the next."""
SHARE_LEFT_OPEN = 16
"""And no more than this part of those that it may have."""
RESERVE = 16
"""Descriptors that are held, so that the end of a task which has taken all others can be told."""
COUNT_EVERY = 16
"""After so many tasks descriptors are counted; after each one it is only seen where the next one would be."""
_SIGNALS = [
    getattr(signal, name)
    for name in ("SIGALRM", "SIGTERM", "SIGINT", "SIGCHLD", "SIGPIPE", "SIGHUP", "SIGUSR1", "SIGUSR2")
]
_TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
_LIMITS = [
    getattr(resource, f"RLIMIT_{name}")
    for name in ("NOFILE", "AS", "DATA", "STACK", "CPU", "FSIZE", "CORE", "NPROC")
    if hasattr(resource, f"RLIMIT_{name}")
]
_DESCRIPTORS = f"{PROC}/self/fd" if IS_LINUX else "/dev/fd"


class ProcessState:
    """Of a process that is ours alone, as it was when this was made. For its main thread."""

    def __init__(self) -> None:
        self._handlers = {signum: getsignal(signum) for signum in _SIGNALS}
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        self._limits = {which: resource.getrlimit(which) for which in _LIMITS}
        self._recursion = sys.getrecursionlimit()
        self._locale = locale.setlocale(locale.LC_ALL)
        self._filters = list(warnings.filters)
        self._stdin = sys.stdin
        self._root = list(logging.root.handlers), logging.root.level, logging.root.manager.disable
        soft = self._limits[resource.RLIMIT_NOFILE][0]
        self._spare = MAX_LEFT_OPEN if soft < 0 else min(MAX_LEFT_OPEN, soft // SHARE_LEFT_OPEN)
        self._reserve = [os.dup(0) for _ in range(RESERVE)]
        self._next, self._open = _next_descriptor() or 0, _open_descriptors()
        self._tasks = count(1)

    def restore(self) -> str:
        """Put back what can be put back. What is left that no other task should meet, in words, or ``""``."""
        for which in _TIMERS:
            signal.setitimer(which, 0)
        for signum, handler in self._handlers.items():
            if getsignal(signum) is not handler:
                signal.signal(signum, handler)
        if signal.pthread_sigmask(signal.SIG_BLOCK, ()) != self._mask:
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        if sys.getrecursionlimit() != self._recursion:
            sys.setrecursionlimit(self._recursion)
        if locale.setlocale(locale.LC_ALL) != self._locale:
            locale.setlocale(locale.LC_ALL, self._locale)
        if warnings.filters != self._filters:
            warnings.resetwarnings()  # and what was decided by them
            warnings.filters[:] = self._filters  # type: ignore[index]
        sys.stdin = self._stdin
        self._restore_logging()
        if _is_at_work():
            return "threads or processes"
        return self._changed_limit() or self._left_open()

    def free_reserve(self) -> None:
        """Let a process that is at its end have some descriptors: it is not used again."""
        reserve, self._reserve = self._reserve, []
        for descriptor in reserve:
            with suppress(OSError):  # a task has closed it
                os.close(descriptor)

    def _restore_logging(self) -> None:
        root = logging.root
        if (root.handlers, root.level, root.manager.disable) != self._root:
            handlers, level, root.manager.disable = self._root
            root.handlers[:] = handlers
            root.setLevel(level)

    def _changed_limit(self) -> str:
        for which, limits in self._limits.items():
            if resource.getrlimit(which) != limits:
                try:
                    resource.setrlimit(which, limits)
                except (OSError, ValueError):
                    return "a limit of its process lowered for good"
        return ""

    def _left_open(self) -> str:
        descriptor = _next_descriptor()
        if descriptor is None:
            self.free_reserve()
            return "no descriptor free"
        if next(self._tasks) % COUNT_EVERY and descriptor - self._next <= self._spare:
            return ""
        left = _open_descriptors() - self._open
        return f"{left} descriptors open" if left > self._spare else ""


def _is_at_work() -> bool:
    """True if user code left threads or child processes behind in this process."""
    threads = set(threading.enumerate()) - {threading.main_thread()}
    return bool(threads and threads - io_threads()) or has_children()


def _next_descriptor() -> int | None:
    """The number that the next one would get: all below are taken. None if there is none to be had."""
    try:
        descriptor = os.dup(1)
    except OSError:
        return None
    os.close(descriptor)
    return descriptor


def _open_descriptors() -> int:
    try:
        return len(os.listdir(_DESCRIPTORS))  # noqa: PTH208  a third of the time
    except OSError:  # a system that does not tell
        return 0
