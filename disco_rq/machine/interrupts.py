"""Ctrl-C that is not lost: the interpreter ignores every exception that comes while it runs a callback."""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import suppress
from typing import Any

__all__ = ["keep_interrupts"]

AGAIN_S = 0.01


def keep_interrupts() -> None:
    """Let a ``KeyboardInterrupt`` that a destructor or a callback of a weak reference has met come once more.

    Each import has such callbacks. For the program whose process it is.
    """
    usual = sys.unraisablehook

    def hook(ignored: Any) -> None:
        if ignored.exc_type is not KeyboardInterrupt:
            usual(ignored)
            return
        main = threading.main_thread().ident  # what another thread gets wakes no system call of this one
        again = threading.Timer(AGAIN_S, signal.pthread_kill, (main, signal.SIGINT))
        again.daemon = True
        with suppress(RuntimeError):  # no thread begins in a process that ends, which is what was wanted
            again.start()

    sys.unraisablehook = hook
