"""Digests of pairs: of the multiset, whatever the order, the blocks and the groups."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disco_rq.records import RecordWriter
from disco_rq.records.digest import columns_digest
from disco_rq.shuffle import Opaque, Ordered, Sorted
from disco_rq.shuffle.partition import Partitioner

Pairs = list[tuple[Any, Any]]

numbers = st.booleans() | st.integers() | st.floats(allow_nan=False)
leaves = st.none() | numbers | st.text() | st.binary()
pairs = st.lists(
    st.tuples(
        st.text(max_size=3), leaves | st.tuples(leaves, leaves) | st.lists(leaves) | st.frozensets(leaves)
    )
)


def digest_of(some: Pairs) -> int:
    return columns_digest([key for key, _ in some], [value for _, value in some], grouped=False)


def digest_of_groups(some: Pairs) -> int:
    groups: dict[Any, list[Any]] = {}
    for key, value in some:
        groups.setdefault(key, []).append(value)
    return columns_digest(list(groups), list(groups.values()), grouped=True)


@given(pairs, st.randoms())
def test_no_order_and_no_grouping_changes_it(some: Pairs, rnd: random.Random) -> None:
    other = some[:]
    rnd.shuffle(other)
    half = len(some) // 2

    assert digest_of(other) == digest_of(some)
    assert digest_of_groups(other) == digest_of_groups(some)
    assert digest_of(some[:half]) + digest_of(some[half:]) == digest_of(some)
    assert digest_of_groups(some) == digest_of(some)


DIFFERENT: list[tuple[Pairs, Pairs]] = [
    ([("a", 1)], [("a", 2)]),
    ([("a", 1)], [("b", 1)]),
    ([("a", 1)], [("a", 1), ("a", 1)]),
    ([("a", 1), ("b", 2)], [("a", 2), ("b", 1)]),
    ([("ab", "c")], [("a", "bc")]),
    ([("a", "b")], [("b", "a")]),
    ([("a", "1")], [("a", b"1")]),
    ([("a", 1)], [("a", True)]),
    ([("a", 1)], [("a", 1.0)]),
    ([("a", None)], []),
    ([("a", (1, 2))], [("a", (2, 1))]),
    ([("a", {"x": 1})], [("a", {"x": 2})]),
    ([("a", {1, 2})], [("a", {1, 3})]),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT, ids=[f"{one} {other}" for one, other in DIFFERENT])
def test_other_pairs_have_another_one(one: Pairs, other: Pairs) -> None:
    assert digest_of(one) != digest_of(other)
    assert digest_of_groups(one) != digest_of_groups(other)


def test_the_order_of_a_set_or_dict_within_does_not_count() -> None:
    words = [f"w{i}" for i in range(20)]
    there, back = dict.fromkeys(words, 1), dict.fromkeys(reversed(words), 1)

    assert digest_of([("a", [there, 1])]) == digest_of([("a", [back, 1])])
    program = (
        "from disco_rq.records.digest import columns_digest as d;"
        f"print(d(['a'], [(frozenset({words!r}), 1)], grouped=False))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1


def test_whatever_records_hold_has_one() -> None:
    some = [
        ("\udcff", 1),
        ("a", "\udcff"),
        (datetime(2026, 1, 1, tzinfo=UTC), 2**80),
        (("a", 1), [("b", {})]),
    ]
    assert len({digest_of([pair]) for pair in some}) == len(some)


@pytest.mark.parametrize("shuffle", [Ordered, Sorted])
@pytest.mark.parametrize("limit_bytes", [64 << 20, 100_000])
def test_a_map_output_has_those_of_its_partitions_whether_it_was_spilled_or_not(
    tmp_path: Path, shuffle: Callable[..., Any], limit_bytes: int
) -> None:
    told: Pairs = [(f"key {i % 3000}", i % 7) for i in range(9000)]
    random.Random(limit_bytes).shuffle(told)
    split: Iterator[Pairs] = (
        [pair for pair in told if len(pair[0]) % 3 == partition] for partition in range(3)
    )
    given = shuffle(tmp_path, limit_bytes, Partitioner(lambda key, n, _: len(key) % n, 3, None))

    given.feed(iter(told))
    with RecordWriter(tmp_path / "out", 3) as writer:
        given.finish(writer)

    wanted = b"".join((digest_of(some) >> 32 & 0xFFFFFFFF).to_bytes(4, "little") for some in split)
    assert writer.digests() == wanted


def written(directory: Path, told: Pairs) -> bytes:
    """The digests of what a ``map_writer`` makes of the pairs, in several pieces each."""

    def write(fd: Any, key: str, value: int, params: Any) -> None:
        fd.write(key.encode())
        fd.write(b"%d" % value * params)

    partitioner = Partitioner(lambda key, n, _: len(key) % n, 3, None)
    given = Opaque(directory, 100_000, partitioner, write, 20_000)
    given.feed(iter(told))
    with RecordWriter(directory / "out", 3) as writer:
        given.finish(writer)
    return writer.digests()


def test_what_a_writer_of_the_job_wrote_has_one_by_pairs(tmp_path: Path) -> None:
    told: Pairs = [("k" * (i % 3), i) for i in range(30)]

    assert written(tmp_path, told) == written(tmp_path, told[::-1])

    first, second = written(tmp_path, told), written(tmp_path, [*told[:-1], (told[-1][0], 31)])
    assert [first[i : i + 4] == second[i : i + 4] for i in (0, 4, 8)] == [True, True, False]
