"""What a job function may give out as pairs, and what it is told if it gives out something else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import PurePath
from typing import Any, TypeGuard

from disco_rq.errors import TaskError
from disco_rq.model import shown
from disco_rq.records.taken import PLAIN, taken

__all__ = [
    "NotAPair",
    "entries_of",
    "is_pair",
    "one_by_one",
    "place_of",
    "shown",
    "taken_columns",
    "taken_pairs",
]


def is_pair(value: Any) -> TypeGuard[Sequence[Any]]:
    """A tuple or list of two, or another sequence that ``match`` takes for one. Not a string of two letters,
    nor a dict or set, which would unpack as well.
    """
    match value:
        case [_, _]:
            return True
    return False


def one_by_one(pairs: Iterable[Any]) -> Iterator[Any]:
    """The pairs, each looked at before the next is asked for. ``TaskError`` for what is none."""
    for pair in pairs:
        if not is_pair(pair):
            raise NotAPair(pair)
        yield pair


def taken_pairs(pairs: Iterable[Any]) -> list[tuple[Any, Any]]:
    """All the pairs as they were when they came: each is taken before the next is asked for.

    ``TaskError`` for what is no pair.
    """
    some: list[tuple[Any, Any]] = []
    plain, add = PLAIN, some.append
    of_keys = of_values = None  # the last types that cannot change: cheaper to compare than to look up
    pair: Any = _A_PAIR
    try:
        for pair in pairs:
            if type(pair) is not tuple:
                if not is_pair(pair):
                    raise NotAPair(pair)
                pair = tuple(pair)
            key, value = pair
            if type(value) is not of_values or type(key) is not of_keys:
                pair = key, value = taken(key), taken(value)
                of_keys = type(key) if type(key) in plain else None
                of_values = type(value) if type(value) in plain else None
            add(pair)
    except ValueError:
        _raise_if_no_pair(pair)
        raise
    return some


def taken_columns(pairs: Iterable[Any]) -> tuple[list[Any], list[Any]]:
    """The same as keys and values."""
    keys: list[Any] = []
    values: list[Any] = []
    plain, add_key, add_value = PLAIN, keys.append, values.append
    of_keys = of_values = None
    pair: Any = _A_PAIR
    try:
        for pair in pairs:
            match pair:
                case [*_]:  # see ``is_pair``; its length is seen when it is unpacked
                    key, value = pair
                case _:
                    raise NotAPair(pair)
            if type(value) is not of_values or type(key) is not of_keys:
                key, value = taken(key), taken(value)
                of_keys = type(key) if type(key) in plain else None
                of_values = type(value) if type(value) in plain else None
            add_key(key)
            add_value(value)
    except ValueError:
        _raise_if_no_pair(pair)
        raise
    return keys, values


_A_PAIR = (None, None)


def _raise_if_no_pair(last: Any) -> None:
    """For a ``ValueError``, which may come from unpacking what was given out last, or from who gave it."""
    if not is_pair(last):
        raise NotAPair(last) from None


class NotAPair(TaskError):
    """Something else than a (key, value) pair was given out."""

    def __init__(self, value: Any) -> None:
        super().__init__(f"(key, value) pairs are expected, but this is not a pair: {shown(value)}")
        self.value = value

    def of(self, argument: str, function: Callable[..., Any]) -> TaskError:
        """The same, with the name of the function that gave it."""
        return TaskError(
            f"{argument} must return or yield (key, value) pairs, and this is not a pair: "
            f"{shown(self.value)} ({place_of(function)})"
        )


def entries_of(argument: str, reader: Callable[..., Any], given: Any) -> Iterator[Any]:
    """What a reader gave, as an iterator. Raises ``TaskError`` naming the reader if it gave no entries."""
    if isinstance(given, Iterable) and not isinstance(given, str | bytes):
        return iter(given)
    raise TaskError(f"{argument} must return or yield entries, and gave {shown(given)} ({place_of(reader)})")


def place_of(function: Callable[..., Any]) -> str:
    """Which function, and where it is, as far as it tells: ``words at count.py:12``."""
    name = getattr(function, "__qualname__", type(function).__qualname__).replace("<locals>.", "")
    code = getattr(function, "__code__", None)
    return f"{name} at {PurePath(code.co_filename).name}:{code.co_firstlineno}" if code else name
