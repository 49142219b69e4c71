"""What a job reads, in a few lines: pieces of a file together, and of many files those of a folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

__all__ = ["grouped"]

MOST_LINES = 10
"""Of more inputs those of each folder are one line."""


def grouped(inputs: Sequence[Sequence[str]], total: int) -> list[str]:
    """``inputs``: of each map, of which there are ``total``, the addresses; those of the first may do."""
    maps_of = Counter(map(tuple, inputs))
    lines = [" ".join(urls) if n == 1 else f"{' '.join(urls)} ({n} maps)" for urls, n in maps_of.items()]
    if len(lines) > MOST_LINES:
        lines = _folders([urls for urls in maps_of if urls])
    if total > len(inputs) > 0:
        lines.append(f"and those of {total - len(inputs):,} more maps")
    return lines


def _folders(inputs: Sequence[Sequence[str]]) -> list[str]:
    """A line for each folder, with its first and last; of many folders the first ones."""
    of_folder: dict[str, list[Sequence[str]]] = {}
    for urls in inputs:
        of_folder.setdefault(urls[0].rpartition("/")[0], []).append(urls)
    lines = [
        f"{folder}/: {len(there)} inputs, from {_name(there[0])} to {_name(there[-1])}"
        if len(there) > 1
        else " ".join(there[0])
        for folder, there in of_folder.items()
    ]
    if len(lines) > MOST_LINES:
        more = sum(map(len, list(of_folder.values())[MOST_LINES:]))
        lines[MOST_LINES:] = [f"and {more} more in {len(of_folder) - MOST_LINES} other folders"]
    return lines


def _name(urls: Sequence[str]) -> str:
    return urls[0].rpartition("/")[2]
