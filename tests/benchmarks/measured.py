"""What a program says that knows better than a clock around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Measured:
    """An answer, or a call that gives it, and what it cost."""

    answer: Any
    value: float
    """Of one job or task: seconds, or bytes in a row of memory."""
    note: str = ""
    beside: float | None = None
    """The yardstick's value, where it ran in the same task."""
    cpu_s: float | None = None
    """CPU time of one, of all processes, where not all that the program did is the work."""
