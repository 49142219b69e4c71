"""What a job function may give out as pairs, and what it is told if it gives out something else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeGuard

from disco_rq.errors import TaskError
from disco_rq.records.taken import PLAIN, taken

__all__ = ["is_pair", "not_a_pair", "one_by_one", "shown", "taken_pairs"]

_SHOWN_CHARS = 100


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
    return TaskError(f"(key, value) pairs are expected, but this is not a pair: {shown(value)}")


def shown(value: Any) -> str:
    """A value for the text of an error: as Python writes it, cut, or its type where Python cannot."""
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001  a __repr__ of the user's, or an int of very many digits
        return f"<{type(value).__qualname__} that cannot be shown: {type(error).__name__}>"
    return text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "…"
