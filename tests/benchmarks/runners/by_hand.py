"""By hand: ``multiprocessing``."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.pool import Pool
from typing import Any

from tests.benchmarks.runners import WORKERS
from tests.benchmarks.runners.staged import stages


class ByHand:
    """A pool of processes."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def each(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterable[Any]:
        return self._pool.imap_unordered(function, items)

    def shuffle(
        self,
        maps: Callable[[Any], list[bytes]],
        items: Sequence[Any],
        reduce: Callable[[list[bytes]], Any],
        nr_reduces: int,
    ) -> list[Any]:
        with stages(maps, items, reduce) as (mapped, reduced):
            self._pool.map(mapped, enumerate(items), chunksize=1)
            return self._pool.map(reduced, range(nr_reduces), chunksize=1)

    def funnel(
        self, maps: Callable[[Any], Any], items: Sequence[Any], reduce: Callable[[list[Any]], Any]
    ) -> Any:
        return self._pool.apply(reduce, [self._pool.map(maps, items)])


@contextmanager
def started() -> Iterator[ByHand]:
    """With processes that have run something."""
    with multiprocessing.get_context("fork").Pool(WORKERS) as pool:
        pool.map(abs, range(100), chunksize=1)
        yield ByHand(pool)
