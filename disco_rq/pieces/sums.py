"""What is made of sums: the mean of the values of each key, and the keys with the largest sums."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any, NamedTuple

from disco_rq.pieces.ordered import TopN, rank
from disco_rq.shuffle.folding import Fold, FoldReduce, Unfit

__all__ = ["Mean", "Sum", "TopKeys"]

_MICROSECOND = timedelta(microseconds=1)
_KINDS: dict[type, str] = {
    bool: "int",
    int: "int",
    float: "float",
    Decimal: "Decimal",
    timedelta: "timedelta",
}
_TOGETHER = frozenset({"float", "Decimal"})
"""What ints go with."""
_MOST_DIGITS = 10_000
"""Of a Decimal, before and after its point: a sum has all of them."""
_MARK = "mean"


class _Sum(NamedTuple):
    """Exact, so that the order in which values come makes no difference."""

    kind: str
    number: int
    numerators: dict[int, int]
    """By denominators."""
    beyond: float
    """The sum of what is infinite, or NaN; else 0."""


@dataclass(frozen=True)
class Mean(Fold):
    """The sum of the values through their number, rounded once. None is no value."""

    name = "mean_of_group"

    def add(self, state: _Sum | None, value: Any) -> _Sum | None:
        if value is None:
            return state
        if type(value) is tuple and len(value) == 5 and value[0] == _MARK:
            return _together(state, _Sum(*value[1:]))
        kind = _KINDS.get(type(value))
        if kind is None:
            raise Unfit.value("numbers and timedeltas", value)
        if state is None:
            state = _Sum(kind, 0, {}, 0.0)
        numerator, denominator, beyond = _exact(value)
        numerators = state.numerators
        numerators[denominator] = numerators.get(denominator, 0) + numerator
        return _Sum(_kind_of_both(state.kind, kind), state.number + 1, numerators, state.beyond + beyond)

    def parts(self, state: _Sum | None) -> Iterable[Any]:
        return (None if state is None else (_MARK, *state),)

    def result(self, state: _Sum | None) -> Any:
        if state is None:
            return None
        if state.beyond != 0:
            return Decimal(state.beyond) if state.kind == "Decimal" else state.beyond
        total = sum((Fraction(top, bottom) for bottom, top in state.numerators.items()), Fraction())
        mean = total / state.number
        if state.kind == "timedelta":
            return round(mean) * _MICROSECOND
        if state.kind == "Decimal":
            return Context().divide(Decimal(mean.numerator), Decimal(mean.denominator))
        try:
            return mean.numerator / mean.denominator
        except OverflowError:
            raise Unfit("gives a float, and the mean is too large for one") from None


def _exact(value: Any) -> tuple[int, int, float]:
    """Numerator, denominator, and instead of both what is infinite or no number."""
    kind = type(value)
    if kind is int or kind is bool:
        return int(value), 1, 0.0
    if kind is timedelta:
        return value // _MICROSECOND, 1, 0.0
    if kind is Decimal:
        if value.is_nan():
            return 0, 1, float("nan")
        if value.is_finite() and (
            abs(value.adjusted()) > _MOST_DIGITS or len(value.as_tuple()[1]) > _MOST_DIGITS
        ):
            raise Unfit.value(f"Decimals of at most {_MOST_DIGITS:,} digits", value)
    elif value != value:
        return 0, 1, value
    try:
        numerator, denominator = value.as_integer_ratio()
    except OverflowError:
        return 0, 1, float(value)
    return numerator, denominator, 0.0


def _together(one: _Sum | None, other: _Sum) -> _Sum:
    if one is None:
        return other._replace(numerators=dict(other.numerators))
    numerators = one.numerators
    for denominator, numerator in other.numerators.items():
        numerators[denominator] = numerators.get(denominator, 0) + numerator
    kind = _kind_of_both(one.kind, other.kind)
    return _Sum(kind, one.number + other.number, numerators, one.beyond + other.beyond)


def _kind_of_both(one: str, other: str) -> str:
    if one == other or (other == "int" and one in _TOGETHER):
        return one
    if one == "int" and other in _TOGETHER:
        return other
    raise Unfit(f"takes values that add up, and there are some of {one} and some of {other}")


@dataclass(frozen=True)
class Sum(Fold):
    """The sum of the values, which has an order."""

    name: str

    def add(self, state: Any, value: Any) -> Any:
        try:
            return (0 if state is None else state) + value
        except TypeError:
            raise Unfit.value("numbers", value) from None

    def parts(self, state: Any) -> Iterable[Any]:
        return (state,)

    def result(self, state: Any) -> Any:
        rank(state)
        return state


@dataclass(frozen=True)
class TopKeys:
    """``reduce=``: the n keys of the partition with the largest sums, the largest first."""

    n: int

    def __call__(self, iter: Iterable[tuple[Any, Any]], params: Any) -> Iterator[tuple[Any, Any]]:
        sums = FoldReduce(Sum("top_keys"))(iter, params)
        best: list[tuple[Any, Any]] = TopN(self.n, by=_falling, least=True).of(sums, ascending=False)
        return map(tuple, best)


def _falling(pair: tuple[Any, Any]) -> Any:
    """Where sums are equal the least key comes first."""
    return -pair[1]
