"""Which maps of a job run first, so that they tell what the others will take. Pure.

A sample at random, the same for the same job: at least one map of each type of file, and where inputs differ
much in size one of each class of sizes, since those few that are large take most of the time.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, NamedTuple

__all__ = ["PilotPlan", "Rest", "ToMap", "plan_pilot"]

MUCH = 4
"""Inputs differ much if the largest is so many times as large as the median one."""
CLASS_BITS = 2
"""... and are told apart then by sizes that differ by a factor of four."""
MOST_KINDS = 16
"""Types of files that are told apart; names may end in anything."""
_OTHERS = ""


class ToMap(NamedTuple):
    """What one map is to read: the type of its first file, and the bytes of all; None: not known."""

    kind: str
    size: int | None


class Rest(NamedTuple):
    """The maps of one type of files that are not in the sample. Unknown sizes are guessed."""

    kind: str
    maps: int
    size: int  # bytes of all of them
    largest: int  # bytes of one


@dataclass(frozen=True, slots=True)
class PilotPlan:
    """The sample, and what it stands for."""

    maps: Mapping[int, ToMap]  # by the indices of the maps; with their sizes, or what they are guessed to be
    rests: Sequence[Rest]

    def pack(self) -> dict[str, Any]:
        """As a job's spec keeps it."""
        maps = [[index, *to_map] for index, to_map in self.maps.items()]
        return {"maps": maps, "rests": [list(rest) for rest in self.rests]}

    @classmethod
    def unpack(cls, data: Mapping[str, Any]) -> PilotPlan:
        maps = {index: ToMap(kind, size) for index, kind, size in data["maps"]}
        return cls(maps, [Rest(*rest) for rest in data["rests"]])


def plan_pilot(maps: Sequence[ToMap], wanted: float, seed: str) -> PilotPlan:
    """A sample of ``wanted`` maps, or of such a part of them: more, where there are more kinds than that."""
    number = round(wanted * len(maps)) if wanted < 1 else int(wanted)
    known = _filled(_few_kinds(maps))
    sample = _sample(known, max(number, 1), random.Random(f"pilot of {seed}"))
    left: dict[str, list[int]] = {}
    for index, (kind, size) in enumerate(known):
        if index not in sample:
            left.setdefault(kind, []).append(size or 0)
    rests = [Rest(kind, len(sizes), sum(sizes), max(sizes)) for kind, sizes in sorted(left.items())]
    return PilotPlan({index: known[index] for index in sorted(sample)}, rests)


def _few_kinds(maps: Sequence[ToMap]) -> list[ToMap]:
    kept = {kind for kind, _ in Counter(kind for kind, _ in maps).most_common(MOST_KINDS)}
    return [ToMap(kind if kind in kept else _OTHERS, size) for kind, size in maps]


def _filled(maps: Sequence[ToMap]) -> list[ToMap]:
    """Who says nothing of its size is taken for one of the middle."""
    middle = _middle(size for _, size in maps)
    by_kind: dict[str, list[int | None]] = {}
    for kind, size in maps:
        by_kind.setdefault(kind, []).append(size)
    of_kind = {kind: _middle(sizes, middle) for kind, sizes in by_kind.items()}
    return [ToMap(kind, of_kind[kind] if size is None else size) for kind, size in maps]


def _middle(sizes: Iterable[int | None], otherwise: int = 1) -> int:
    known = [size for size in sizes if size is not None]
    return round(median(known)) if known else otherwise


def _sample(maps: Sequence[ToMap], number: int, chance: random.Random) -> set[int]:
    sizes = [size or 0 for _, size in maps]
    differ = bool(sizes) and max(sizes) > MUCH * max(median(sizes), 1)
    strata: dict[tuple[str, int], list[int]] = {}
    for index, (kind, size) in enumerate(maps):
        size_class = (size or 0).bit_length() // CLASS_BITS if differ else 0
        strata.setdefault((kind, size_class), []).append(index)
    sample = {chance.choice(indices) for _, indices in sorted(strata.items())}
    others = [index for index in range(len(maps)) if index not in sample]
    more = min(max(number - len(sample), 0), len(others))
    return sample | set(chance.sample(others, more))
