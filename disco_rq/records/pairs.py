"""What a job function may give out as pairs, and what it is told if it gives out something else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeGuard

from disco_rq.errors import TaskError

__all__ = ["checked", "is_pair", "not_a_pair"]


def is_pair(value: Any) -> TypeGuard[Sequence[Any]]:
    """A tuple or list of two. Not a string of two letters, which would unpack as well."""
    return isinstance(value, tuple | list) and len(value) == 2


def checked(values: Sequence[Any]) -> None:
    """Raise ``TaskError`` naming the first value that is no pair."""
    if set(map(type, values)) == {tuple} and set(map(len, values)) == {2}:
        return
    for value in values:
        if not is_pair(value):
            raise not_a_pair(value)


def not_a_pair(value: Any) -> TaskError:
    shown = repr(value)
    if len(shown) > 100:
        shown = shown[:100] + "…"
    return TaskError(f"(key, value) pairs are expected, but this is not a pair: {shown}")
