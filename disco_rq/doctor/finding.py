"""One line of what was found."""

from __future__ import annotations

from typing import Literal, NamedTuple

Level = Literal["ok", "warn", "fail"]


class Finding(NamedTuple):
    """``warn``: it works, and may not for long, or not safely; ``fail``: jobs cannot run, or be lost."""

    level: Level
    what: str
    text: str
    do: str = ""  # what mends it
