"""``profile=True``: cProfile around each task, a file beside its output, merged where it is asked for."""

from __future__ import annotations

import cProfile
import marshal
import pstats
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from disco_rq.errors import DataError

__all__ = ["SUFFIX", "merged", "profiled"]

SUFFIX = ".prof"
"""Of the file beside an attempt's output."""


@contextmanager
def profiled(path: Path | None) -> Iterator[None]:
    """Profile what runs inside, in this thread, and write the statistics to ``path``; None: do neither.

    Nothing is written of what ends with an error.
    """
    if path is None:
        yield
        return
    profiler = cProfile.Profile()
    profiler.enable()
    try:
        yield
    finally:
        profiler.disable()
    path.parent.mkdir(exist_ok=True)  # the first output of a job here makes its directory
    profiler.dump_stats(path)


def merged(profiles: Iterable[tuple[str, bytes]]) -> pstats.Stats | None:
    """The statistics of many tasks as one; None of none. Raises ``DataError`` naming one that is bad."""
    stats: pstats.Stats | None = None
    for address, data in profiles:
        one: Any = _Stored(address, data)
        if stats is None:
            stats = pstats.Stats(one)
        else:
            stats.add(one)
    return stats


class _Stored:
    """What ``pstats.Stats`` takes besides file names."""

    def __init__(self, address: str, data: bytes) -> None:
        try:
            self.stats = marshal.loads(data)
        except (EOFError, ValueError, TypeError) as error:
            raise DataError(f"its profile is truncated or altered: {error}", address) from None

    def create_stats(self) -> None:
        """They are there."""
