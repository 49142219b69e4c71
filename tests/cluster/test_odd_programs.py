"""Programs as people write them, with what Python allows: the right pairs or an error, soon."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from disco_rq import JobError, func
from tests.cluster.conftest import Rows


def from_itself(entry: str, params: Any) -> Iterator[Any]:
    try:
        raise ValueError("wrong")
    except ValueError as error:
        raise error from error


def in_a_circle(entry: str, params: Any) -> Iterator[Any]:
    one, two = ValueError("one"), KeyError("two")
    one.__context__, two.__context__ = two, one
    raise one


@pytest.mark.parametrize(
    ("map", "told"), [(from_itself, "ValueError: wrong"), (in_a_circle, "ValueError: one")]
)
def test_an_error_whose_causes_are_a_circle_ends_the_job(rows: Rows, map: Any, told: str) -> None:
    with pytest.raises(JobError, match=told):
        rows(["raw://a"], map=map)
    assert rows(["raw://a"], map=lambda entry, params: [(entry, 1)]) == [("a", 1)]


LISTS = [([1, 2], 1), ([1, 2], 1)]
HASHED = "takes keys that can be hashed, and this one is a list: [1, 2]; "


@pytest.mark.parametrize(
    ("pairs", "how", "told"),
    [
        (LISTS, {"combiner": func.sum_combiner}, f"sum_combiner {HASHED}a tuple can be"),
        (LISTS, {}, f"sum_reduce {HASHED}with sort=True it takes any key"),
        (
            [("a", "x")],
            {"combiner": func.sum_combiner},
            "sum_combiner cannot add the value 'x' of the key",
        ),
        ([("a", 1), ("a", [])], {}, "sum_reduce cannot add the value [] of the key 'a'"),
        ([("a", 1), ("a", [])], {"sort": True}, "sum_reduce cannot add the values of the key 'a'"),
        ([([1], "x")], {"sort": True}, "sum_reduce cannot add the values of the key [1]"),
    ],
)
def test_what_cannot_be_summed_is_told_by_key_and_value(
    rows: Rows, pairs: list[Any], how: dict[str, Any], told: str
) -> None:
    for number in (1, 9000):  # the first ones, and those in bulk
        given = [("b", 1)] * (number - 1) + pairs
        with pytest.raises(JobError, match=re.escape(told)):
            rows(["raw://a"], map=lambda e, p, given=given: given, reduce=func.sum_reduce, **how)


def test_a_key_that_cannot_be_hashed_is_summed_under_sort(rows: Rows) -> None:
    job = {"map": lambda e, p: LISTS, "reduce": func.sum_reduce, "sort": True}
    assert rows(["raw://a"], **job) == [([1, 2], 2)]
