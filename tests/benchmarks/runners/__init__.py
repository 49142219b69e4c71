"""Who runs the work: each module has ``started``, a context that gives a warm ``Runner`` for two CPUs.

``by_disco`` is another matter: what it gives is a ``Disco``, and its programs are jobs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

WORKERS = 2


class Runner(Protocol):
    """What the work needs; each runner does it as its own documentation says it is done fast."""

    def each(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterable[Any]:
        """``function`` of each item, a task and a message for each, in any order."""

    def shuffle(
        self,
        maps: Callable[[Any], list[bytes]],
        items: Sequence[Any],
        reduce: Callable[[list[bytes]], Any],
        nr_reduces: int,
    ) -> list[Any]:
        """Part i of what every map gives comes to reduce i."""

    def funnel(
        self, maps: Callable[[Any], Any], items: Sequence[Any], reduce: Callable[[list[Any]], Any]
    ) -> Any:
        """What all maps give comes to one reduce, in memory."""
