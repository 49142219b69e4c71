"""What the stages hold in memory is bounded by bytes, whatever the pairs weigh, and however that changes."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.stages.test_stages import Job

MIB = 1 << 20
LIMIT_BYTES = 2 * MIB
LARGE = 64 << 10


def large(number: int) -> str:
    """Each one an object of its own."""
    return f"{number:0{LARGE}d}"


def all_large() -> Iterator[tuple[int, Any]]:
    yield from ((i, large(i)) for i in range(1500))


def small_then_large() -> Iterator[tuple[int, Any]]:
    yield from ((i, 1) for i in range(20_000))
    yield from all_large()


def longest(key: Any, value: Any, buffer: dict[Any, int], done: bool, params: Any) -> Any:
    if done:
        return buffer.items()
    buffer[0] = max(buffer.get(0, 0), len(str(value)))
    return None


def peak_bytes(run: Callable[[], Any]) -> int:
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("pairs", "options", "most_mib"),
    [
        (all_large, {"sort": True}, 12),
        (all_large, {"combiner": longest}, 6),
        (small_then_large, {"combiner": longest}, 75),  # 1,024 pairs before the weight is looked at again
        (small_then_large, {}, 75),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_map(tmp_path: Path, pairs: Callable[[], Any], options: dict[str, Any], most_mib: int) -> None:
    job = Job(tmp_path, {"map": lambda entry, params: pairs(), "mem_sort_limit": LIMIT_BYTES, **options})

    assert peak_bytes(lambda: job.map("raw://x")) < most_mib * MIB


@pytest.mark.parametrize(
    ("pairs", "most_mib"),
    [(all_large, 8), (small_then_large, 24)],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_a_reduce_gives_out(tmp_path: Path, pairs: Callable[[], Any], most_mib: int) -> None:
    job = Job(tmp_path, {"map": lambda entry, params: [(0, 0)], "reduce": lambda rows, params: pairs()})
    one, _ = job.map("raw://x")

    assert peak_bytes(lambda: job.reduce([one])) < most_mib * MIB
