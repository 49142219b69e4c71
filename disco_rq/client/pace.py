"""How long the rest of a phase will take, at the pace at which we have seen it go."""

from __future__ import annotations

import math
import time

__all__ = ["Pace", "about"]

TRUSTED_S = 2.0
"""After so long a pace says something."""


class Pace:
    """Of one phase of a job, since it was first seen to run."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """It stood still for a reason, and begins anew."""
        self._began: float | None = None
        self._done_then = 0

    def left_s(self, *, running: int, done: int, total: int) -> float | None:
        """None while that cannot be told, and when nothing is left."""
        now = time.monotonic()
        if self._began is None and (running or done):
            self._began, self._done_then = now, done
        if self._began is None or done == total or done <= self._done_then or now - self._began < TRUSTED_S:
            return None
        return (total - done) * (now - self._began) / (done - self._done_then)


def about(seconds: float) -> str:
    """No more exact than it is known: ``12 s``, ``3 min``, ``2 h 10 min``."""
    if seconds < 10:
        return f"{max(math.ceil(seconds), 1)} s"
    if seconds < 90:
        return f"{5 * math.ceil(seconds / 5)} s"
    minutes = math.ceil(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(10 * math.ceil(minutes / 10), 60)
    return f"{hours} h" + (f" {minutes} min" if minutes and hours < 10 else "")
