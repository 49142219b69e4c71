"""The least, the greatest, the first and the n best values of each key, in the order of ``sort``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import total_ordering
from operator import itemgetter
from typing import Any

from disco_rq.errors import RecordTypeError
from disco_rq.records.taken import taken
from disco_rq.shuffle.folding import Fold, Unfit
from disco_rq.shuffle.sortorder import sort_key

__all__ = ["Extreme", "TopN", "rank"]

By = Callable[[Any], Any] | None
Ranked = tuple[tuple[Any, ...], Any]
"""A rank, and what stands there."""
_DIRECT = frozenset({int, str, bytes})
"""Values of one of these types compare as their ranks do."""
_SPARE = 16
"""Beyond twice as many as are wanted, before they are sorted again."""

_rank = itemgetter(0)


def rank(value: Any, by: By = None) -> tuple[Any, ...]:
    """Where a value stands: by what ``by`` says of it, then by itself; it compares with every other rank.

    Raises ``Unfit`` for what has no order.
    """
    if by is None:
        try:
            return sort_key(value), _Look(value)
        except RecordTypeError:
            raise Unfit.value("values that have an order", value) from None
    given = taken(by(value))
    try:
        return sort_key(given), _order(value), _Look(value)
    except RecordTypeError:
        raise Unfit.value("from by(value) what has an order", given) from None


def _order(value: Any) -> tuple[Any, ...]:
    try:
        return sort_key(value)
    except RecordTypeError:  # an object: only ``by`` tells them apart
        return ()


@total_ordering
class _Look:
    """Tells apart what is equal and looks different, as 1, 1.0 and True do. Asked only where all is equal."""

    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:
        self._value = value

    def _text(self) -> tuple[str, str]:
        return type(self._value).__qualname__, repr(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Look) and self._text() == other._text()

    def __lt__(self, other: _Look) -> bool:
        return self._text() < other._text()

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Extreme(Fold):
    """The value that stands first, or last. None is no value, unless it counts."""

    name: str
    last: bool = False
    none_counts: bool = False
    by: By = None

    def add(self, state: Ranked | None, value: Any) -> Ranked | None:
        if value is None and not self.none_counts:
            return state
        if state is not None and self.by is None and type(value) in _DIRECT:
            best = state[1]
            if type(value) is type(best) and (value <= best if self.last else value >= best):
                return state
        place = rank(value, self.by)
        if state is None or (place > state[0] if self.last else place < state[0]):
            return place, value
        return state

    def parts(self, state: Ranked | None) -> Iterable[Any]:
        return (self.result(state),)

    def result(self, state: Ranked | None) -> Any:
        return None if state is None else state[1]


class _Best(list[Ranked]):
    """The best so far, in order, and what came since."""

    floor: Any = None
    """The value that must be beaten, once there are enough."""


@dataclass(frozen=True)
class TopN(Fold):
    """A list of the n values that stand last, or first, the very last one first. None is no value."""

    name = "top_n"
    grows = True
    n: int
    by: By = None
    least: bool = False

    def add(self, state: _Best | None, value: Any) -> _Best | None:
        if value is None:
            return state
        if state is None:
            state = _Best()
        if type(value) in _DIRECT and type(value) is type(state.floor):
            beaten = value < state.floor if self.least else value > state.floor
            if not beaten:
                return state
        state.append((rank(value, self.by), value))
        if len(state) >= 2 * self.n + _SPARE:
            self._cut(state)
        return state

    def _cut(self, state: _Best) -> None:
        state.sort(key=_rank, reverse=not self.least)
        del state[self.n :]
        if len(state) == self.n and self.by is None:
            state.floor = state[-1][1]

    def parts(self, state: _Best | None) -> Iterable[Any]:
        return self.result(state) or (None,)

    def result(self, state: _Best | None) -> list[Any]:
        if state is None:
            return []
        self._cut(state)
        return [value for _, value in state]
