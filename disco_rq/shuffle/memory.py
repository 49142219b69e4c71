"""What Python objects weigh: an estimate from a few of many, cheap enough to make all the time."""

from __future__ import annotations

from collections.abc import Sequence
from sys import getsizeof
from typing import Any

__all__ = ["GROUP_BYTES", "PAIR_BYTES", "REFERENCE_BYTES", "SAMPLE", "SLICE_PAIRS", "average_bytes"]

SAMPLE = 16
SLICE_PAIRS = 1024
"""So many pairs are taken at most before the next ones are weighed: they may be much larger."""
REFERENCE_BYTES = 9
"""One place in a list, with what lists allocate ahead."""
PAIR_BYTES = 56 + REFERENCE_BYTES
"""A tuple of two in a list."""
GROUP_BYTES = 104 + 88
"""A key's place in a dict, and a list of its own with a first place."""

_SHARED_INTS = range(-5, 257)
_DEPTH = 4
_WIDTH = 16


def average_bytes(objects: Sequence[Any]) -> float:
    """Mean weight of the objects; one that is in the list several times weighs once, as in memory."""
    if not objects:
        return 0.0
    distinct = {id(value): value for value in objects}
    return sum(_weigh(value, _DEPTH) for value in distinct.values()) / len(objects)


def _weigh(value: Any, depth: int) -> float:
    kind = type(value)
    if kind is int:
        return 0 if value in _SHARED_INTS else getsizeof(value)
    if value is None or kind is bool:
        return 0
    size = float(getsizeof(value))
    if depth and kind in (list, tuple, set, frozenset, dict) and value:
        inner = list(value.items()) if kind is dict else list(value)
        some = inner[:: len(inner) // _WIDTH + 1]
        size += len(inner) * sum(_weigh(item, depth - 1) for item in some) / len(some)
    return size
