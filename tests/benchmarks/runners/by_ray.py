"""Ray: tasks, and what they give in its object store."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import ray

from tests.benchmarks.runners import WORKERS


class ByRay:
    """Remote functions, made once each."""

    def __init__(self) -> None:
        self._remotes: dict[Any, Any] = {}

    def each(self, function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        remote = self._remote(function)
        answers: list[Any] = ray.get([remote.remote(item) for item in items])
        return answers

    def shuffle(
        self,
        maps: Callable[[Any], list[bytes]],
        items: Sequence[Any],
        reduce: Callable[[list[bytes]], Any],
        nr_reduces: int,
    ) -> list[Any]:
        mapped = self._remote(maps).options(num_returns=nr_reduces)
        parts = [mapped.remote(item) for item in items]
        reduced = ray.remote(lambda *parts: reduce(list(parts)))
        answers: list[Any] = ray.get([reduced.remote(*(of[i] for of in parts)) for i in range(nr_reduces)])
        return answers

    def funnel(
        self, maps: Callable[[Any], Any], items: Sequence[Any], reduce: Callable[[list[Any]], Any]
    ) -> Any:
        mapped = self._remote(maps)
        if reduce not in self._remotes:
            self._remotes[reduce] = ray.remote(lambda *results: reduce(list(results)))
        return ray.get(self._remotes[reduce].remote(*(mapped.remote(item) for item in items)))

    def _remote(self, function: Callable[[Any], Any]) -> Any:
        if function not in self._remotes:
            self._remotes[function] = ray.remote(lambda item: function(item))
        return self._remotes[function]


@contextmanager
def started() -> Iterator[ByRay]:
    """With workers that have run something; all on this machine."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    directory = tempfile.mkdtemp(prefix="ray-")  # short: a socket's path may be 107 bytes long
    try:
        ray.init(
            num_cpus=WORKERS,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            _node_ip_address="127.0.0.1",
            _temp_dir=directory,
        )
        runner = ByRay()
        runner.each(abs, range(100))
        yield runner
    finally:
        ray.shutdown()
        shutil.rmtree(directory, ignore_errors=True)
