"""joblib on loky, its own processes; a task a message."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from joblib import Parallel, delayed

from tests.benchmarks.runners import WORKERS
from tests.benchmarks.runners.staged import stages


class ByJoblib:
    """``Parallel`` with processes that stay."""

    def __init__(self, parallel: Any) -> None:
        self._parallel = parallel

    def each(self, function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        return list(self._parallel(delayed(function)(item) for item in items))

    def shuffle(
        self,
        maps: Callable[[Any], list[bytes]],
        items: Sequence[Any],
        reduce: Callable[[list[bytes]], Any],
        nr_reduces: int,
    ) -> list[Any]:
        with stages(maps, items, reduce) as (mapped, reduced):
            self.each(mapped, enumerate(items))
            return self.each(reduced, range(nr_reduces))

    def funnel(
        self, maps: Callable[[Any], Any], items: Sequence[Any], reduce: Callable[[list[Any]], Any]
    ) -> Any:
        return self.each(reduce, [self.each(maps, items)])[0]


@contextmanager
def started() -> Iterator[ByJoblib]:
    """With processes that have run something."""
    with Parallel(n_jobs=WORKERS, batch_size=1, pre_dispatch="all") as parallel:
        runner = ByJoblib(parallel)
        runner.each(abs, range(100))
        yield runner
