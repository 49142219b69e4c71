"""The order of keys of all types, and the partitions they go to."""

from __future__ import annotations

import math
import random
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import IntEnum
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from disco_rq.errors import PartitionError
from disco_rq.func import default_partition
from disco_rq.shuffle.partition import Partitioner
from disco_rq.shuffle.sortorder import marks_of, picked, places_by, plain_kind, sort_key, sorted_keys
from tests.unit.records.test_records import hashables, values

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
NOON_ELSEWHERE = datetime(2026, 1, 1, 14, tzinfo=timezone(timedelta(hours=2)))

EQUAL_KEYS = [
    (1, 1.0, True),
    (0, -0.0, False, 0.0),
    (2**70, float(2**70)),
    (10**6000 + 1, Decimal(10**6000 + 1)),
    ((1, 2.0), (1.0, 2), (True, 2)),
    ([1, "a"], [1.0, "a"]),
    (frozenset([1, 2, "x"]), frozenset(["x", 2.0, True]), {1, 2, "x"}),
    ((frozenset(range(100)), 1), (frozenset(reversed(range(100))), 1.0)),
    ({"a": 1, "b": 2}, {"b": 2.0, "a": True}),
    (NOON, NOON_ELSEWHERE),
    ((NOON, 1), (NOON_ELSEWHERE, True)),
]


@pytest.mark.parametrize("keys", EQUAL_KEYS, ids=lambda keys: " ".join(type(key).__name__ for key in keys))
@pytest.mark.parametrize("nr_reduces", [2, 7, 100])
def test_equal_keys_share_a_partition_and_a_place(keys: tuple[Any, ...], nr_reduces: int) -> None:
    assert all(key == keys[0] for key in keys)
    assert len({default_partition(key, nr_reduces) for key in keys}) == 1
    assert all(sort_key(key) == sort_key(keys[0]) for key in keys)


def test_every_process_and_hash_seed_gives_the_same_partitions() -> None:
    program = """
from datetime import datetime, timezone
from disco_rq.func import default_partition as p
keys = ["a", "wort", "\\udc80", b"a", 1, -7, 2**80, 1.5, float("nan"), float("inf"), None, (1, "a"), [1],
        {1: 2}, frozenset(["a", "b", "c"]), datetime(2026, 1, 1), datetime(2026, 1, 1, tzinfo=timezone.utc)]
print([p(key, 1000) for key in keys])
"""
    answers = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert answers == {
        # Written down: a job's partitions stay the same in all versions of Python and of disco-rq.
        "[907, 445, 323, 245, 769, 884, 171, 321, 0, 641, 3, 345, 849, 598, 212, 956, 280]\n"
    }


@pytest.mark.parametrize(
    "keys",
    [
        [f"word {i}" for i in range(10_000)],
        list(range(10_000)),
        list(range(0, 80_000, 8)),
        [i / 7 for i in range(10_000)],
        [str(i).encode() for i in range(10_000)],
        [(i, "x") for i in range(10_000)],
        [NOON + timedelta(minutes=i) for i in range(10_000)],
        [frozenset([i, i + 1]) for i in range(10_000)],
    ],
    ids=lambda keys: repr(keys[0]),
)
def test_keys_spread_over_the_partitions(keys: list[Any]) -> None:
    shares = [0] * 8
    for key in keys:
        shares[default_partition(key, 8)] += 1
    assert max(shares) < 1.25 * len(keys) / 8
    assert min(shares) > 0.75 * len(keys) / 8


@settings(deadline=None)
@given(st.lists(values, max_size=20), st.integers(min_value=1, max_value=50))
def test_many_keys_at_a_time_go_where_each_would_go(keys: list[Any], nr_reduces: int) -> None:
    assert Partitioner(None, nr_reduces, None).many(keys) == [
        default_partition(key, nr_reduces) for key in keys
    ]


def test_lone_surrogates_go_where_they_go_alone() -> None:
    assert Partitioner(None, 7, None).many(["a", "\udc80"]) == [
        default_partition("a", 7),
        default_partition("\udc80", 7),
    ]


@pytest.mark.parametrize("answer", [-1, 3, None, "1", 1.0])
def test_a_wrong_answer_of_a_partition_function_names_key_and_value(answer: Any) -> None:
    partitioner = Partitioner(lambda key, nr, params: answer if key == "bad" else 0, 3, None)
    with pytest.raises(PartitionError) as refused:
        partitioner.many(["a", "bad", "b"])
    assert "'bad'" in str(refused.value)
    assert repr(answer) in str(refused.value)


class Half(IntEnum):
    LOWER = 0
    UPPER = 1


@pytest.mark.parametrize("answer", [True, Half.UPPER])
def test_an_int_of_another_type_is_the_partition_that_it_is_equal_to(answer: int) -> None:
    found = Partitioner(lambda key, nr, params: answer, 3, None).many(["a", "b"])
    assert [type(partition) for partition in found] == [int, int]
    assert found == [1, 1]


def test_an_error_in_a_partition_function_says_which_key_it_was() -> None:
    def partition(key: str, nr_reduces: int, params: Any) -> int:
        return {"a": 0}[key]

    with pytest.raises(KeyError) as raised:
        Partitioner(partition, 3, None).many(["a", "a", "b", "a"])
    assert raised.value.__notes__ == ["in the partition function, for the key 'b'"]


def test_numbers_ascend_strings_go_by_code_point_and_types_stay_apart() -> None:
    keys = [
        (1,),
        "b",
        10,
        None,
        b"x",
        9.5,
        "a",
        True,
        "\U0001f600",
        "\uffff",
        -math.inf,
        [1],
        (1, "a"),
        (1, 2),
    ]
    for _ in range(20):
        random.shuffle(keys)
        assert sorted_keys(list(keys)) == [
            *(
                None,
                -math.inf,
                True,
                9.5,
                10,
                "a",
                "b",
                "\uffff",
                "\U0001f600",
                b"x",
                (1,),
                (1, 2),
                (1, "a"),
                [1],
            )
        ]


def test_nan_comes_behind_all_numbers() -> None:
    keys = [math.nan, 1, math.inf, -1, math.nan, 0.5]
    for _ in range(20):
        random.shuffle(keys)
        ordered = sorted_keys(list(keys))
        assert ordered[:4] == [-1, 0.5, 1, math.inf]
        assert all(key != key for key in ordered[4:])


def test_equal_keys_keep_the_order_of_their_values() -> None:
    keys = ["b", "a"] * 50
    places = places_by(marks_of(keys, [None] * 100))
    assert places == [*range(1, 100, 2), *range(0, 100, 2)]
    assert picked(keys, places) == ["a"] * 50 + ["b"] * 50


@settings(deadline=None, max_examples=200)
@given(st.lists(values, max_size=12))
def test_the_order_is_total_and_where_it_is_plain_it_is_pythons(keys: list[Any]) -> None:
    marks = [sort_key(key) for key in sorted_keys(list(keys))]
    assert all(left <= right for left, right in pairwise(marks))
    if plain_kind(keys):
        assert sorted_keys(list(keys)) == sorted(keys)


@settings(deadline=None, max_examples=200)
@given(st.lists(hashables, min_size=2, max_size=12))
def test_equal_keys_have_equal_marks_and_partitions(keys: list[Any]) -> None:
    for left in keys:
        for right in keys:
            if left == right:
                assert sort_key(left) == sort_key(right)
                assert default_partition(left, 97) == default_partition(right, 97)
