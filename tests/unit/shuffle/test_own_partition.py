"""A partition function of the job: no key is left out, and none ends in two results."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from disco_rq import func
from disco_rq.errors import PartitionError
from disco_rq.model import KEEPS_PARTITIONS
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


def by_half(key: int, nr_reduces: int, params: Any) -> int:
    return int(key >= 500)


def by_half_but_one(key: int, nr_reduces: int, params: Any) -> int:
    return int(key >= 500 or key == 333)


def by_params(key: int, nr_reduces: int, params: Any) -> int:
    return int(key >= params["half"])


KEPT = r"by_half_but_one answers 1 for the key 333, but that is in partition 0 of .* Without keep=True"


def test_of_maps_that_another_function_has_partitioned_every_key_is_asked_about() -> None:
    Partitioner(by_half_but_one, 2, None).confirm(KEYS[:500], 0, "map:0")  # a few are
    Partitioner(by_half, 2, None).confirm_kept(KEYS[:500], 0, "map:0")
    with pytest.raises(PartitionError, match=KEPT):
        Partitioner(by_half_but_one, 2, None).confirm_kept(KEYS[:500], 0, "map:0")
    with pytest.raises(TypeError):
        Partitioner(by_params, 2, None).confirm_kept(KEYS[:500], 0, "map:0")


@pytest.mark.parametrize("settings", [{}, {"sort": True}], ids=["copied", "sorted"])
@pytest.mark.parametrize("keys", [range(1000), range(332, 1000), range(333, 353)], ids=len)
def test_a_reduce_asks_so_whatever_it_does_with_the_pairs(
    settings: dict[str, Any], keys: range, tmp_path: Path
) -> None:
    job = Job(tmp_path, {"map": lambda e, params: [(key, "x" * 500) for key in keys], "nr_reduces": 2})
    job.settings |= {"partition": by_half, "reduce": func.nop_reduce, "details": {KEEPS_PARTITIONS: True}}
    path, _ = job.map("raw://x")
    job.settings |= settings
    assert sum(result.records_out for _, result in (job.reduce([path], i) for i in (0, 1))) == len(keys)
    job.settings["partition"] = by_half_but_one
    job.reduce([path], 1)
    with pytest.raises(PartitionError, match=KEPT):
        job.reduce([path], 0)
    job.settings["partition"] = None
    with pytest.raises(PartitionError, match=r"default_partition answers"):
        job.reduce([path], 0)


def test_a_function_that_finds_nothing_in_a_reduce_is_believed() -> None:
    Partitioner(finds_nothing, 2, None).confirm([599, 600, 601], 1, "map:0")
