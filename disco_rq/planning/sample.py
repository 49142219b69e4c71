"""Which maps of a job are checked: a sample at random, of which nobody knows before. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterable

__all__ = ["sample_bits", "without"]


def sample_bits(nr_maps: int, part: float) -> bytes:
    """``part`` of the maps (above 0: at least one), a bit for each, the first one the lowest."""
    if not part or not nr_maps:
        return b""
    number = min(max(round(part * nr_maps), 1), nr_maps)
    bits = sum(1 << index for index in random.SystemRandom().sample(range(nr_maps), number))
    return bits.to_bytes(-(-nr_maps // 8), "little")


def without(sample: bytes, maps: Iterable[int]) -> bytes:
    """The same, but for these maps."""
    bits = int.from_bytes(sample, "little")
    for index in maps:
        bits &= ~(1 << index)
    return bits.to_bytes(len(sample), "little")
