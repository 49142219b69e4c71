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
_DIRECT = frozenset({int, str, bytes, float})
"""Values of one of these types compare as their ranks do, but for what ``_is_odd`` says."""
_SPARE = 16
"""Beyond twice as many as are wanted, before they are sorted again."""

_rank = itemgetter(0)


def _is_odd(value: Any) -> bool:
    """Whether it is a float that Python compares otherwise: NaN; and 0.0, which is equal to -0.0."""
    return type(value) is float and not (value < 0 or value > 0)


def rank(value: Any, by: By = None) -> tuple[Any, ...]:
    """Where a value stands: by what ``by`` says of it, then by itself; it compares with every other rank.

    Raises ``Unfit`` for what has no order.
    """
    if by is None:
        try:
            return sort_key(value), _Look(value)
        except RecordTypeError:
            raise Unfit.value("values that have an order", value) from None
    return _rank_of(value, taken(by(value)))


def _rank_of(value: Any, given: Any) -> tuple[Any, ...]:
    """The same of a value of which ``by`` says that."""
    try:
        return sort_key(given), _order(value), _Look(value)
    except RecordTypeError:
        raise Unfit.value("from by(value) what has an order", given) from None


def _is_beaten(value: Any, best: Any, *, least: bool) -> bool:
    """Whether it stands behind another one, for sure: what compares otherwise than Python has it may, too."""
    if type(value) is not type(best) or type(value) not in _DIRECT or _is_odd(value) or _is_odd(best):
        return False
    return bool(value > best if least else value < best)


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


_Standing = tuple[Any, Any, Any]
"""A rank, or None as long as nobody has asked for it; what stands there; what ``by`` says of that."""


@dataclass(frozen=True)
class Extreme(Fold):
    """The value that stands first, or last. None is no value, unless it counts."""

    name: str
    last: bool = False
    none_counts: bool = False
    by: By = None

    def add(self, state: _Standing | None, value: Any) -> _Standing | None:
        if value is None and not self.none_counts:
            return state
        kind = type(value)
        if kind in _DIRECT and self.by is None and not (kind is float and _is_odd(value)):
            if state is None:
                return None, value, None
            best = state[1]
            if kind is type(best) and not (kind is float and _is_odd(best)):
                is_better = value > best if self.last else value < best
                return (None, value, None) if is_better else state
        return self._ranked(state, value)

    def _ranked(self, state: _Standing | None, value: Any) -> _Standing:
        given = None if self.by is None else taken(self.by(value))
        if state is not None and self.by is not None and _is_beaten(given, state[2], least=not self.last):
            return state
        place = rank(value) if self.by is None else _rank_of(value, given)
        if state is None:
            return place, value, given
        before = rank(state[1]) if state[0] is None else state[0]
        if place > before if self.last else place < before:
            return place, value, given
        return before, state[1], state[2]

    def parts(self, state: _Standing | None) -> Iterable[Any]:
        return (self.result(state),)

    def result(self, state: _Standing | None) -> Any:
        return None if state is None else state[1]


class _Best:
    """The best so far, in order, and what came since."""

    __slots__ = ("floor", "has_floor", "kind", "plain", "ranked")

    def __init__(self, kind: type | None) -> None:
        self.kind = kind
        """The type of all values, as long as they compare as their ranks do; None: they have ranks."""
        self.plain: list[Any] = []
        self.ranked: list[Ranked] = []
        self.has_floor = False
        """Whether there are enough of them."""
        self.floor: Any = None
        """Then the last one's value, or what ``by`` says of it: what is behind it is out."""


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
        kind = type(value)
        if state is None:
            state = _Best(kind if self.by is None and kind in _DIRECT else None)
        if kind is state.kind and not (kind is float and _is_odd(value)):
            floor = state.floor
            if not state.has_floor or (value < floor if self.least else value > floor):
                state.plain.append(value)
                if len(state.plain) >= 2 * self.n + _SPARE:
                    self._cut(state)
            return state
        return self._add_ranked(state, value)

    def _add_ranked(self, state: _Best, value: Any) -> _Best:
        if state.kind is not None:
            state.ranked = [(rank(one), one) for one in state.plain]
            state.kind, state.plain = None, []
        given = value if self.by is None else taken(self.by(value))
        if state.has_floor and _is_beaten(given, state.floor, least=self.least):
            return state
        state.ranked.append((rank(value) if self.by is None else _rank_of(value, given), value))
        if len(state.ranked) >= 2 * self.n + _SPARE:
            self._cut(state)
        return state

    def _cut(self, state: _Best) -> None:
        if state.kind is not None:
            state.plain.sort(reverse=not self.least)
            del state.plain[self.n :]
            if len(state.plain) == self.n:
                state.has_floor, state.floor = True, state.plain[-1]
            return
        state.ranked.sort(key=_rank, reverse=not self.least)
        del state.ranked[self.n :]
        if len(state.ranked) == self.n:
            last = state.ranked[-1][1]
            state.has_floor, state.floor = True, last if self.by is None else taken(self.by(last))

    def parts(self, state: _Best | None) -> Iterable[Any]:
        return self.result(state) or (None,)

    def result(self, state: _Best | None) -> list[Any]:
        if state is None:
            return []
        self._cut(state)
        return list(state.plain) if state.kind is not None else [value for _, value in state.ranked]
