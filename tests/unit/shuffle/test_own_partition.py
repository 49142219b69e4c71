"""A partition function of the job that raises ``StopIteration``: an error with the key, and no lost pair."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from disco_rq import func
from disco_rq.shuffle.partition import Partitioner
from tests.unit.stages.test_stages import Job

KEYS = list(range(1000))


def finds_nothing(key: Any, nr_reduces: int, params: Any) -> int:
    """For keys from 600 on."""
    number = key[0] if isinstance(key, list) else key
    return next(i for i in range(nr_reduces) if number < 300 * (i + 1))


@pytest.mark.parametrize(
    "ask",
    [
        lambda partitioner: partitioner.many(KEYS),
        lambda partitioner: list(partitioner.split(KEYS)),
        lambda partitioner: list(partitioner.shares(KEYS, KEYS)),
        lambda partitioner: [partitioner.one(key) for key in KEYS],
    ],
    ids=["many", "split", "shares", "one"],
)
def test_no_key_is_left_out(ask: Callable[[Partitioner], Any]) -> None:
    with pytest.raises(RuntimeError, match=r"the partition function raised StopIteration") as raised:
        ask(Partitioner(finds_nothing, 2, None))
    assert raised.value.__notes__ == ["in the partition function, for the key 600"]


def test_the_last_key_counts_too() -> None:
    assert Partitioner(finds_nothing, 2, None).many(KEYS[:600]) == [0] * 300 + [1] * 300
    with pytest.raises(RuntimeError, match=r"StopIteration"):
        Partitioner(finds_nothing, 2, None).many(KEYS[:601])


@pytest.mark.parametrize("key", [int, lambda i: [i]], ids=["distinct keys", "keys without a hash"])
@pytest.mark.parametrize("settings", [{}, {"sort": True}, {"sort": True, "sort_values": True}], ids=str)
def test_a_map_ends_with_the_key(key: Callable[[int], Any], settings: dict[str, Any], tmp_path: Path) -> None:
    def pairs(entry: str, params: Any) -> Iterator[tuple[Any, int]]:
        return ((key(i), i) for i in KEYS)

    job = Job(
        tmp_path, {"map": pairs, "partition": finds_nothing, "reduce": func.nop_reduce, "nr_reduces": 2}
    )
    job.settings |= settings
    with pytest.raises(RuntimeError, match=r"the partition function raised StopIteration") as raised:
        job.map("raw://x")
    assert raised.value.__notes__[0].endswith("for the key 600" if key is int else "for the key [600]")


def test_a_function_that_finds_nothing_in_a_reduce_is_believed() -> None:
    Partitioner(finds_nothing, 2, None).confirm([599, 600, 601], 1, "map:0")
