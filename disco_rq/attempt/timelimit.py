"""The time limit of a task, where it runs."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import FrameType

from disco_rq.errors import TaskTimeout

__all__ = ["time_limit"]


def time_limit(seconds: float | None) -> AbstractContextManager[None]:
    """Raise ``TaskTimeout`` in the main thread when the time is up; None: never."""
    return nullcontext() if seconds is None else _limited(seconds)


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    def too_long(_signum: int, _frame: FrameType | None) -> None:
        raise TaskTimeout(f"the task ran longer than its task_timeout of {seconds:g} s")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
