"""What a job function may give out as pairs, and what it is told if it gives out something else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeGuard

from disco_rq.errors import TaskError
from disco_rq.records.taken import PLAIN, taken

__all__ = ["is_pair", "not_a_pair", "one_by_one", "taken_pairs"]


def is_pair(value: Any) -> TypeGuard[Sequence[Any]]:
    """A tuple or list of two. Not a string of two letters, which would unpack as well."""
    return isinstance(value, tuple | list) and len(value) == 2


def one_by_one(pairs: Iterable[Any]) -> Iterator[Any]:
    """The pairs, each looked at before the next is asked for. ``TaskError`` for what is none."""
    for pair in pairs:
        if not is_pair(pair):
            raise not_a_pair(pair)
        yield pair


def taken_pairs(pairs: Iterable[Any]) -> list[tuple[Any, Any]]:
    """All the pairs as they were when they came: each is taken before the next is asked for.

    ``TaskError`` for what is no pair.
    """
    some: list[tuple[Any, Any]] = []
    plain, add = PLAIN, some.append
    for pair in pairs:
        if type(pair) is not tuple or len(pair) != 2:
            if not is_pair(pair):
                raise not_a_pair(pair)
            pair = tuple(pair)
        key, value = pair
        if type(value) not in plain or type(key) not in plain:
            pair = taken(key), taken(value)
        add(pair)
    return some


def not_a_pair(value: Any) -> TaskError:
    shown = repr(value)
    if len(shown) > 100:
        shown = shown[:100] + "…"
    return TaskError(f"(key, value) pairs are expected, but this is not a pair: {shown}")
