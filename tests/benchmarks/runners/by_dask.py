"""Dask's distributed scheduler with two processes of one thread."""

from __future__ import annotations

import logging
import operator
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from distributed import Client, LocalCluster

from tests.benchmarks.runners import WORKERS


class ByDask:
    """Futures, whose results stay on the workers."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def each(self, function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        answers: list[Any] = self._client.gather(self._client.map(function, items, pure=False))
        return answers

    def shuffle(
        self,
        maps: Callable[[Any], list[bytes]],
        items: Sequence[Any],
        reduce: Callable[[list[bytes]], Any],
        nr_reduces: int,
    ) -> list[Any]:
        submit = self._client.submit
        mapped = self._client.map(maps, items, pure=False)
        reduced = []
        for i in range(nr_reduces):
            parts = [submit(operator.itemgetter(i), future, pure=False) for future in mapped]
            reduced.append(submit(reduce, parts, pure=False))
        answers: list[Any] = self._client.gather(reduced)
        return answers

    def funnel(
        self, maps: Callable[[Any], Any], items: Sequence[Any], reduce: Callable[[list[Any]], Any]
    ) -> Any:
        mapped = self._client.map(maps, items, pure=False)
        return self._client.submit(reduce, mapped, pure=False).result()


@contextmanager
def started() -> Iterator[ByDask]:
    """With workers that have run something; all on this machine."""
    with (
        LocalCluster(
            n_workers=WORKERS,
            threads_per_worker=1,
            memory_limit=None,
            dashboard_address=None,
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as client,
    ):
        runner = ByDask(client)
        runner.each(abs, range(100))
        yield runner
