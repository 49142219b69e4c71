"""A wrong option of a piece is refused where the piece is made, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from disco_rq import func

FUNC: Any = func  # a type checker would refuse them, too


@pytest.mark.parametrize(
    ("make", "error", "told"),
    [
        (lambda: FUNC.top_n(0), ValueError, r"top_n\(n=0\): it takes a whole number from 1 on"),
        (lambda: FUNC.top_n("3"), TypeError, r"top_n\(n='3'\): it takes a whole number"),
        (lambda: FUNC.top_n(True), TypeError, r"top_n\(n=True\): it takes a whole number"),
        (lambda: FUNC.top_n(3, by="x"), TypeError, r"top_n\(by='x'\): it takes a function of a value"),
        (lambda: FUNC.top_n(3, least=1), TypeError, r"top_n\(least=1\): it takes True or False"),
        (lambda: FUNC.top_keys(-1), ValueError, r"top_keys\(n=-1\): it takes a whole number from 1 on"),
        (lambda: FUNC.min_of_group(by=3), TypeError, r"min_of_group\(by=3\): it takes a function"),
        (lambda: FUNC.max_of_group(by=3), TypeError, r"max_of_group\(by=3\): it takes a function"),
        (lambda: FUNC.first_of_group(by=3), TypeError, r"first_of_group\(by=3\): it takes a function"),
        (lambda: FUNC.count_distinct(0), ValueError, r"count_distinct\(error=0\): .* from 0.0021 to 0.3"),
        (lambda: FUNC.count_distinct(0.001), ValueError, r"count_distinct\(error=0.001\)"),
        (lambda: FUNC.count_distinct(0.5), ValueError, r"count_distinct\(error=0.5\)"),
        (lambda: FUNC.count_distinct("1%"), TypeError, r"count_distinct\(error='1%'\): it takes a number"),
        (lambda: FUNC.join("right"), ValueError, r"join\(how='right'\): .* 'inner', 'left', 'outer'"),
    ],
)
def test_a_wrong_option_is_refused_by_name(make: Callable[[], Any], error: type, told: str) -> None:
    with pytest.raises(error, match=told):
        make()
