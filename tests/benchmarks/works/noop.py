"""Tasks that do nothing, each a message of its own."""

from __future__ import annotations

from typing import Any

from tests.benchmarks.runners import Runner


def nothing(entry: str, params: Any = None) -> list[tuple[str, int]]:
    """A map."""
    return [(entry, 1)]


def run(runner: Runner, given: dict[str, Any]) -> dict[str, int]:
    """All results back in the client."""
    return dict(pair for pairs in runner.each(nothing, given["entries"]) for pair in pairs)
