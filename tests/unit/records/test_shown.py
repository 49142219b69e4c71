"""A key that Python cannot write, or that is very long, hides no error: it is told by its type, or cut."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from disco_rq.errors import DiscoError, PartitionError, RecordTypeError, TaskError
from disco_rq.func import kvgroup
from disco_rq.records.typed import pack_columns
from disco_rq.shuffle.partition import Partitioner

HUGE = 10**5000
"""Python writes no int of so many digits."""


class Wordless:
    """As a function of the user's may be: callable, without a name."""

    def __call__(self, key: Any, nr_reduces: int, params: Any) -> int:
        return 1

    def __repr__(self) -> str:
        raise RuntimeError("not now")


def leave_behind(key: Any) -> None:
    groups = kvgroup(iter([(key, 1), (-1, 2)]))
    _, values = next(groups)
    next(groups)
    list(values)


def pack(key: Any) -> None:
    pack_columns([key], [object()], grouped=False)


def confirm(key: Any) -> None:
    Partitioner(Wordless(), 2, None).confirm([key], 0, "map:0")


@pytest.mark.parametrize(
    ("go", "error"), [(leave_behind, TaskError), (pack, RecordTypeError), (confirm, PartitionError)]
)
@pytest.mark.parametrize(
    ("key", "shown"),
    [(HUGE, "<int that cannot be shown: ValueError>"), ("k" * 500, f"'{'k' * 119}…")],
    ids=["huge", "long"],
)
def test_the_error_is_the_rules_own(
    go: Callable[[Any], None], error: type[DiscoError], key: Any, shown: str
) -> None:
    with pytest.raises(error) as caught:
        go(key)

    assert shown in str(caught.value)
