"""How many distinct values each key has: counted, or estimated by a sketch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from disco_rq.errors import RecordTypeError, TaskError
from disco_rq.pieces.sketch import MARK, Sketch, digest
from disco_rq.shuffle.folding import Fold, Unfit, equal_as
from disco_rq.shuffle.sortorder import sort_key

__all__ = ["Distinct", "Estimated"]

_TAKES = "values of which it is known when they are equal"
_NONE = sort_key(None)


@dataclass(frozen=True)
class Distinct(Fold):
    """The number of values that differ. None is no value."""

    name = "count_distinct"
    grows = True

    def add(self, state: dict[Any, Any] | None, value: Any) -> dict[Any, Any] | None:
        if value is None:
            return state
        if state is None:
            state = {}
        try:
            state.setdefault(equal_as(value), value)
        except TaskError:
            raise Unfit.value(_TAKES, value) from None
        return state

    def parts(self, state: dict[Any, Any] | None) -> Iterable[Any]:
        return (None,) if state is None else state.values()

    def result(self, state: dict[Any, Any] | None) -> int:
        return 0 if state is None else len(state)

    def of(self, values: Iterable[Any], *, ascending: bool) -> Any:
        """Of values that ascend only the last one is held."""
        if not ascending:
            return super().of(values, ascending=False)
        return sum(order != _NONE for order, _ in groupby(values, sort_key))


@dataclass(frozen=True)
class Estimated(Fold):
    """The same, by a sketch of ``2**bits`` bytes at most. None is no value."""

    name = "count_distinct"
    grows = True
    bits: int

    def add(self, state: Sketch | None, value: Any) -> Sketch | None:
        if value is None:
            return state
        if state is None:
            state = Sketch(self.bits)
        if type(value) is bytes and value.startswith(MARK):
            if not state.merge(value):
                raise Unfit("takes no sketches of another error")
            return state
        try:
            state.add(digest(value))
        except RecordTypeError:
            raise Unfit.value(_TAKES, value) from None
        return state

    def parts(self, state: Sketch | None) -> Iterable[Any]:
        return (None if state is None else state.pack(),)

    def result(self, state: Sketch | None) -> int:
        return 0 if state is None else state.count()
