"""A fold: what a combiner of a map begins with the values of a key, and a reduce ends, in any order and cut.

A map sends the *parts* of what it has folded so far, whenever memory gets short. A part is folded as a value
is, so a reduce takes both, and a job without the combiner has the same results.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from disco_rq.errors import RecordTypeError, TaskError
from disco_rq.records.pairs import NotAPair, shown
from disco_rq.records.taken import PLAIN, taken
from disco_rq.shuffle.grouping import RecordStream, kvgroup
from disco_rq.shuffle.sortorder import sort_key

__all__ = [
    "HELD_BYTES",
    "STATE_BYTES",
    "Aggregate",
    "Fold",
    "FoldCombiner",
    "FoldReduce",
    "Folded",
    "Unfit",
    "aggregate",
    "equal_as",
]

STATE_BYTES = 400
"""What a state takes beside the values that it holds."""
HELD_BYTES = 200
"""What it takes for each value, beside the value."""
_PLAIN_EQUALITY = frozenset({str, bytes, int, bool, float, type(None)})


class Unfit(Exception):
    """A fold cannot take a value, or make a result; the text says why. Whoever knows the key names it."""

    @classmethod
    def value(cls, takes: str, value: Any) -> Unfit:
        """``takes``: what it can take instead."""
        return cls(f"takes {takes}, and {shown(value)} is of the type {type(value).__qualname__}")


class Fold(ABC):
    """What is made of the values of one key. Its state is None as long as there is none."""

    name: str
    """As users call it, for errors."""
    grows = False
    """Whether a state holds more with each value."""

    @abstractmethod
    def add(self, state: Any, value: Any) -> Any:
        """The state with a value, or with a part of another state. Raises ``Unfit``."""

    @abstractmethod
    def parts(self, state: Any) -> Iterable[Any]:
        """The state as values for ``add`` of a reduce; at least one, or the key would be lost."""

    @abstractmethod
    def result(self, state: Any) -> Any:
        """What is given out for the key. Raises ``Unfit``."""

    def of(self, values: Iterable[Any], *, ascending: bool) -> Any:  # noqa: ARG002
        """The result of all values of a key, which may be known to ascend."""
        state = None
        for value in values:
            state = self.add(state, value)
        return self.result(state)


class Folded:
    """States by key. Keys may be of any type; those that are equal are one."""

    def __init__(self, fold: Fold, *, take: Callable[[Any], Any] = taken) -> None:
        """``take`` makes a value safe from whoever gives it."""
        self._take = take
        self._name, self._add, self._parts, self._result = fold.name, fold.add, fold.parts, fold.result
        self._states: dict[Any, Any] = {}
        self._keys: dict[Any, Any] = {}
        """Those that do not stand for themselves in ``_states``."""

    def __len__(self) -> int:
        return len(self._states)

    def add(self, key: Any, value: Any) -> None:
        """Raises ``TaskError`` that names the key, for a value that the fold cannot take."""
        place = key
        if type(key) not in _PLAIN_EQUALITY:
            place = equal_as(key)
            if place not in self._keys:
                self._keys[place] = self._take(key)
        try:
            self._states[place] = self._add(self._states.get(place), self._take(value))
        except Unfit as error:
            raise _named(self._name, key, error) from None

    def add_many(self, pairs: Iterable[Any]) -> int:
        """The same of many; how many there were. Raises ``NotAPair``, too."""
        states, add, plain, immutable = self._states, self._add, _PLAIN_EQUALITY, PLAIN
        get = states.get
        number = 0
        for pair in pairs:
            match pair:
                case [key, value]:
                    pass
                case _:
                    raise NotAPair(pair)
            if type(key) in plain and type(value) in immutable:
                try:
                    states[key] = add(get(key), value)
                except Unfit as error:
                    raise _named(self._name, key, error) from None
            else:
                self.add(key, value)
            number += 1
        return number

    def take(self) -> Iterator[tuple[Any, Any]]:
        """All parts with their keys; nothing is held then."""
        states, keys = self._states, self._keys
        self._states, self._keys = {}, {}
        parts = self._parts
        for place, state in states.items():
            key = keys.get(place, place)
            for part in parts(state):
                yield key, part

    def results(self) -> Iterator[tuple[Any, Any]]:
        """Each key with its result."""
        for place, state in self._states.items():
            key = self._keys.get(place, place)
            try:
                yield key, self._result(state)
            except Unfit as error:
                raise _named(self._name, key, error) from None


@dataclass(frozen=True)
class FoldCombiner:
    """``combiner=``. A task knows it and inlines it, to hold no more than its memory."""

    fold: Fold

    def __call__(
        self,
        key: Any,
        value: Any,
        buffer: dict[Any, Any],
        done: bool,
        params: Any,  # noqa: ARG002
    ) -> Iterable[tuple[Any, Any]] | None:
        folded: Folded = buffer.setdefault(FoldCombiner, Folded(self.fold))
        if done:
            return folded.take()
        folded.add(key, value)
        return None


@dataclass(frozen=True)
class FoldReduce:
    """``reduce=``. With ``sort=True`` it holds one key at a time, else all."""

    fold: Fold

    def __call__(
        self,
        iter: Iterable[tuple[Any, Any]],
        params: Any,  # noqa: ARG002
    ) -> Iterator[tuple[Any, Any]]:
        if not (isinstance(iter, RecordStream) and iter.is_sorted):
            folded = Folded(self.fold)
            folded.add_many(iter)
            yield from folded.results()
            return
        ascending, of = iter.has_sorted_values, self.fold.of
        for key, values in kvgroup(iter):
            try:
                result = of(values, ascending=ascending)
            except Unfit as error:
                raise TaskError(f"func.{self.fold.name} {error}") from None  # the stream adds the key
            yield key, result


class Aggregate(NamedTuple):
    """A combiner and a reduce: ``combiner, reduce = func.mean_of_group()`` in a program."""

    combiner: Callable[..., Iterable[tuple[Any, Any]] | None]
    reduce: Callable[..., Any]


def aggregate(fold: Fold) -> Aggregate:
    """The combiner and the reduce of a fold."""
    return Aggregate(FoldCombiner(fold), FoldReduce(fold))


def equal_as(value: Any) -> Any:
    """Something that Python can hash, equal for values that are equal; NaNs are, too.

    Raises ``TaskError`` for an object that knows no equality, or has no hash.
    """
    if type(value) in _PLAIN_EQUALITY and value == value:
        return value
    try:
        order = sort_key(value)
    except RecordTypeError:
        own: Any = type(value)
        if own.__hash__ is None or own.__eq__ is object.__eq__:
            kind = own.__qualname__
            raise TaskError(f"nothing tells which of the type {kind} are equal: {shown(value)}") from None
        return value
    # A number by itself: one of any type is equal to it.
    return order[1] if order[0] == _NUMBER else (_Ordered, order)


class _Ordered:
    """Marks what stands for a value that Python compares otherwise, or cannot hash."""


_NUMBER = sort_key(0)[0]


def _named(name: str, key: Any, error: Unfit) -> TaskError:
    return TaskError(f"func.{name} {error}; it is in the key {shown(key)}")
