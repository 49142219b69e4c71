"""A few places of a job's inputs, to see what its keys are like before the job begins."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from disco_rq.inputs.addresses import local_path, scheme_of
from disco_rq.inputs.content import codec_by_name
from disco_rq.inputs.plan import is_plain
from disco_rq.inputs.rediskeys import is_key
from disco_rq.model import Input, MapInput

__all__ = ["Probe", "probes"]

_RAW = "raw://"
_GOLDEN = (5**0.5 - 1) / 2
"""The first of the numbers in the order of their multiples' fractions are evenly spread."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One place to read: of which map, and how much of the whole one byte there stands for."""

    index: int
    part: tuple[Input, ...]  # redundant replicas
    weight: float
    share: int = 1  # of the places, where one cannot be read alone
    side: int | None = None
    size: int | None = None  # bytes, where that is known

    @property
    def input(self) -> MapInput:
        return MapInput((self.part,), side=self.side)


def probes(
    inputs: Sequence[tuple[int, MapInput]],
    *,
    line_based: Callable[[int | None], bool],
    number: int,
    size_bytes: int,
) -> list[Probe]:
    """About ``number`` places, evenly spaced over all bytes; all, where that is not more. However many are
    read, the first ones are evenly spread, too.

    ``inputs``: the maps' with their indices. ``line_based``: whether the files of a side
    can be cut between lines. Where one cannot be cut, its beginning stands for it.
    """
    parts = [
        Probe(index, part, 1.0, side=entry.side, size=_size(part))
        for index, entry in inputs
        for part in entry.parts
    ]
    sizes = [probe.size for probe in parts]
    known = [size for size in sizes if size is not None]
    if len(known) == len(sizes) and sum(known) <= number * size_bytes:
        found = parts
    else:
        mean = max(sum(known) / len(known), 1.0) if known else 1.0
        ends = list(accumulate(mean if size is None else size for size in sizes))
        found = list(_spaced(parts, sizes, ends, line_based=line_based, number=number, size_bytes=size_bytes))
    order = sorted(range(len(found)), key=lambda i: i * _GOLDEN % 1)
    return [found[i] for i in order]


def _spaced(
    parts: Sequence[Probe],
    sizes: Sequence[int | None],
    ends: Sequence[float],
    *,
    line_based: Callable[[int | None], bool],
    number: int,
    size_bytes: int,
) -> Iterator[Probe]:
    spacing = ends[-1] / number
    places: dict[int, list[int]] = {}
    for i in range(number):
        at = (i + 0.5) * spacing
        hit = bisect_right(ends, at)
        places.setdefault(hit, []).append(int(at - (ends[hit - 1] if hit else 0)))
    for hit, offsets in places.items():
        whole, size = parts[hit], sizes[hit]
        cuts = size is not None and size > size_bytes and line_based(whole.side)
        if size is not None and cuts and _can_cut(whole.part):
            for offset in offsets:
                length = min(size_bytes, size - offset)
                pieces = tuple(replace(one, start=one.start + offset, length=length) for one in whole.part)
                yield replace(whole, part=pieces, weight=spacing / size_bytes, size=length)
        else:
            yield replace(whole, share=len(offsets))


def _size(part: Sequence[Input]) -> int | None:
    first = part[0]
    if is_key(first.url):
        return None
    if first.length is not None:
        return first.length
    if scheme_of(first.url) == "raw":
        return len(first.url) - len(_RAW)
    if first.identity is None or first.identity.size is None:
        return None
    return max(first.identity.size - first.start, 0)


def _can_cut(part: Sequence[Input]) -> bool:
    """Whether it is a piece already, or a local file that can be one."""
    return all(
        one.start > 0
        or one.length is not None
        or (local_path(one.url) is not None and codec_by_name(one.url) is None and is_plain(one.url))
        for one in part
    )
