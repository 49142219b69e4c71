"""Blocks are of about one size from the first one on, however heavy the pairs."""

from __future__ import annotations

import pytest

from disco_rq.records import PairBatch
from disco_rq.shuffle.cutting import BLOCK_BYTES, Cutter


@pytest.mark.parametrize("grouped", [False, True])
def test_the_first_block_of_heavy_values_is_small_too(grouped: bool) -> None:
    keys = list(range(64))
    heavy = [f"{key:04d}" * 50_000 for key in keys]  # 200 kB each
    columns = [[value] for value in heavy] if grouped else heavy
    blocks = list(Cutter().blocks(PairBatch(keys, columns, grouped)))
    assert [block.size for block in blocks] == [1] * 64


def test_light_pairs_share_a_block() -> None:
    keys = list(range(100_000))
    blocks = list(Cutter().blocks(PairBatch(keys, keys, False)))
    assert sum(block.size for block in blocks) == 100_000
    assert len(blocks) < 100
    assert BLOCK_BYTES / len(keys) < len(blocks)


@pytest.mark.parametrize("nr_keys", [1, 2, 100])
def test_groups_that_fit_into_one_block_make_one(nr_keys: int) -> None:
    keys = list(range(nr_keys))

    blocks = list(Cutter().blocks(PairBatch(keys, [[key] * 3 for key in keys], True)))

    assert [block.size for block in blocks] == [3 * nr_keys]


@pytest.mark.parametrize(("nr_keys", "each"), [(1, 12_000), (120, 100)])
def test_groups_of_many_heavy_values_after_light_ones_make_small_blocks(nr_keys: int, each: int) -> None:
    light = list(range(50_000))
    keys = light + [10**6 + i for i in range(nr_keys)]
    heavy = [[f"{i:04000d}" for i in range(each)] for _ in range(nr_keys)]

    blocks = list(Cutter().blocks(PairBatch(keys, [[0] for _ in light] + heavy, True)))

    assert sum(block.size for block in blocks) == len(light) + nr_keys * each
    assert max(len(block.data) for block in blocks) < 24 * BLOCK_BYTES


@pytest.mark.parametrize("grouped", [False, True])
def test_heavy_pairs_after_many_light_ones_make_small_blocks(grouped: bool) -> None:
    keys = list(range(60_000))
    values = [key if key < 50_000 else f"{key:04000d}" for key in keys]

    columns = [[value] for value in values] if grouped else values
    blocks = list(Cutter().blocks(PairBatch(keys, columns, grouped)))

    assert sum(block.size for block in blocks) == len(keys)
    assert max(len(block.data) for block in blocks) < 24 * BLOCK_BYTES
