"""The ready-made pieces, made of their options: ``combiner, reduce = func.top_n(10)``.

A wrong option is a ``ValueError`` or ``TypeError`` that names it, where the piece is made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from disco_rq.pieces.distinct import Distinct, Estimated
from disco_rq.pieces.joining import HOW, Join
from disco_rq.pieces.ordered import Extreme, TopN
from disco_rq.pieces.sketch import MOST_BITS, bits_for
from disco_rq.pieces.sums import Mean
from disco_rq.shuffle.folding import Aggregate, aggregate

__all__ = [
    "count_distinct",
    "first_of_group",
    "join",
    "max_of_group",
    "mean_of_group",
    "min_of_group",
    "top_n",
    "whole",
]

By = Callable[[Any], Any] | None
_MOST_ERROR = 0.3


def top_n(n: int, by: By = None, least: bool = False) -> Aggregate:
    """For each key a list of its ``n`` largest values, the largest first; with ``least`` the smallest.

    ``by(value)`` says what counts of a value, or else it is the value itself, in the order of ``sort``: a NaN
    is larger than any number. None is left out; a key without other values has an empty list.
    """
    return aggregate(TopN(whole("top_n", "n", n), _by("top_n", by), _flag("top_n", "least", least)))


def first_of_group(by: By = None) -> Aggregate:
    """For each key the value that comes first in the order of ``by(value)``, or of the values themselves.

    It is the one that ``sort_values=True`` brings first: None before numbers, numbers before text.
    """
    return aggregate(Extreme("first_of_group", none_counts=True, by=_by("first_of_group", by)))


def min_of_group(by: By = None) -> Aggregate:
    """For each key the least value, in the order of ``by(value)`` or of ``sort``; a NaN is larger than any
    number. None is left out; a key without other values has None.
    """
    return aggregate(Extreme("min_of_group", by=_by("min_of_group", by)))


def max_of_group(by: By = None) -> Aggregate:
    """For each key the greatest value; as ``min_of_group``."""
    return aggregate(Extreme("max_of_group", last=True, by=_by("max_of_group", by)))


def mean_of_group() -> Aggregate:
    """For each key the mean of its values: int and float give a float, Decimals (and ints) a Decimal of 28
    digits, timedeltas a timedelta.

    It is rounded once, so it does not depend on the order of the values. With a NaN among them it is NaN.
    None is left out; a key without other values has None. Other types, and floats beside Decimals, are
    refused.
    """
    return aggregate(Mean())


def count_distinct(error: float | None = None) -> Aggregate:
    """For each key how many different values it has. Equal ones, as 1 and 1.0, are one, and NaNs are.

    It counts exactly: with ``sort_values=True`` a reduce holds one value at a time, else those of a key.
    With an ``error``, from 0.0021 to 0.3, it estimates by a sketch (HyperLogLog). That is the standard error:
    two of three numbers are off by less, nearly all by less than three times as much. At 0.01
    a sketch takes 16 KiB, and up to 2,048 values are counted exactly. None is left out; a key without other
    values has 0.
    """
    if error is None:
        return aggregate(Distinct())
    if isinstance(error, bool) or not isinstance(error, int | float):
        raise TypeError(f"count_distinct(error={error!r}): it takes a number, or None to count exactly")
    if not 0 < error <= _MOST_ERROR or bits_for(error) > MOST_BITS:
        raise ValueError(f"count_distinct(error={error!r}): it takes a number from 0.0021 to {_MOST_ERROR}")
    return aggregate(Estimated(bits_for(error)))


def join(how: str = "inner") -> Join:
    """``reduce=``: each row of the left with each of the right that has its key, ``(key, (left, right))``.

    The map gives out ``(key, ("left", row))`` and ``(key, ("right", row))``. ``how="left"``: rows of the left
    that have no partner come with None, ``(key, (left, None))``; ``"outer"``: those of the right, too. None
    and NaN are keys like others. With ``sort_values=True`` the rows of the left of one key are held, with
    ``sort=True`` those of both; more than 16 MiB of them go to a file. One of the two is needed.
    """
    if how not in HOW:
        raise ValueError(f"join(how={how!r}): it takes one of {', '.join(map(repr, HOW))}")
    return Join(how)


def whole(piece: str, option: str, value: Any) -> int:
    """``value``, if it is a whole number from 1 on."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{piece}({option}={value!r}): it takes a whole number")
    if value < 1:
        raise ValueError(f"{piece}({option}={value!r}): it takes a whole number from 1 on")
    return value


def _by(piece: str, by: By) -> By:
    if by is not None and not callable(by):
        raise TypeError(f"{piece}(by={by!r}): it takes a function of a value")
    return by


def _flag(piece: str, option: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{piece}({option}={value!r}): it takes True or False")
    return value
