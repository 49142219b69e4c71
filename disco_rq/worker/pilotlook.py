"""What is looked at of a pilot's map, beside how long it took: memory, and whether its keys repeat."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from disco_rq.machine.memory import PeakMemory
from disco_rq.model import Functions, StageResult
from disco_rq.records import read_pairs

__all__ = ["PilotLook"]

PAIRS = 20_000
"""So many of its first pairs are looked at."""


class PilotLook:
    """Begins with the attempt."""

    def __init__(self) -> None:
        self._peak = PeakMemory()

    def noted(self, result: StageResult, functions: Functions, output: Path) -> StageResult:
        """The result of the attempt, with what was seen. ``output``: its file, if it is not in memory."""
        memory = self._peak.so_far()
        is_plain = (
            functions.combiner is None and functions.map_writer is None and functions.reduce is not None
        )
        repeats = _repeats(result, output) if is_plain else 0.0
        return replace(result, memory=memory, repeats=repeats)


def _repeats(result: StageResult, output: Path) -> float:
    """How many pairs there are for a key; 0: nobody knows."""
    try:
        if result.content is not None:
            return _for_a_key(read_pairs(io.BytesIO(result.content), output.name))
        with output.open("rb") as file:
            return _for_a_key(read_pairs(file, output.name))
    except Exception:  # noqa: BLE001  keys that cannot be told apart, a disk: who reads it next tells it
        return 0.0


def _for_a_key(pairs: Iterator[tuple[Any, Any]]) -> float:
    keys = [key for key, _ in islice(pairs, PAIRS)]
    return len(keys) / len(set(keys)) if keys else 0.0
