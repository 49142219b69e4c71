"""Programs as people write them, with what Python allows: the right pairs or an error, soon."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from disco_rq import JobError
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
