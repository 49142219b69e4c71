"""One answer, whatever the memory, the split, the spill and the process: on a cluster and in one process."""

from __future__ import annotations

import random
import zlib
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from disco_rq import Disco, JobError, func, local, result_iterator
from disco_rq.records.taken import one_nan
from disco_rq.runtime import counter, put
from tests.cluster.conftest import Rows


def counted(pairs: Any, params: Any) -> Iterator[tuple[Any, int]]:
    for key, values in func.kvgroup(pairs):
        yield key, sum(values)


def many(line: str, params: Any) -> Iterator[tuple[str, str]]:
    for n in range(params):
        yield f"key{n % 3}", "v" * 100 + str(n)


def listed(pairs: Any, params: Any) -> Iterator[tuple[str, int]]:
    for key, values in list(func.kvgroup(pairs)):
        yield key, len(list(values))


@pytest.mark.parametrize(("number", "limit"), [(6, 256 << 20), (30_000, 256 << 20), (30_000, 1 << 20)])
@pytest.mark.parametrize("sort", [True, False])
def test_groups_left_behind_raise_at_any_size(rows: Rows, number: int, limit: int, sort: bool) -> None:
    with pytest.raises(JobError, match="the values of the key 'key0' were left behind"):
        rows(
            ["raw://x"], map=many, reduce=listed, params=number, sort=sort, nr_reduces=1, mem_sort_limit=limit
        )


@pytest.mark.parametrize("split_size", [None, 8])
def test_nan_is_one_key_however_the_input_is_cut(rows: Rows, split_size: int | None, tmp_path: Path) -> None:
    path = tmp_path / "n.txt"
    path.write_text("nan\n" * 6)

    def numbers(line: str, params: Any) -> list[tuple[Any, int]]:
        return [(float(line), 1), (("in a tuple", float(line)), 1)]

    for combiner in (None, func.sum_combiner):
        for reduce, sort in ((counted, True), (func.sum_reduce, False), (func.sum_reduce, True)):
            found = rows(
                [str(path)],
                map=numbers,
                combiner=combiner,
                reduce=reduce,
                sort=sort,
                nr_reduces=2,
                split_size=split_size,
            )
            assert sorted(map(repr, found)) == ["(('in a tuple', nan), 6)", "(nan, 6)"]


class Opaque:
    """Has no order."""


def test_a_key_without_an_order_is_refused_by_type_and_task_whatever_it_weighs(rows: Rows) -> None:
    def things(line: str, params: Any) -> Iterator[tuple[Any, int]]:
        for _ in range(params):
            yield Opaque(), 1

    for number in (1, 5000):
        with pytest.raises(JobError, match=r"reduce:0.*sort knows no order of keys of the type .*Opaque"):
            rows(
                ["raw://x"],
                map=things,
                reduce=counted,
                params=number,
                sort=True,
                nr_reduces=1,
                map_writer=func.object_writer,
                reduce_reader=func.object_reader,
                mem_sort_limit=1 << 20,
            )


def test_values_of_any_type_are_sorted_by_their_keys_also_when_they_spill(rows: Rows) -> None:
    def things(line: str, params: Any) -> Iterator[tuple[Any, Any]]:
        for n in range(30_000):
            yield date(2024, 1, 1 + n % 3), complex(n)

    def sums(pairs: Any, params: Any) -> Iterator[tuple[Any, float]]:
        for key, values in func.kvgroup(pairs):
            yield key, sum(values).real

    how: dict[str, Any] = {"map_writer": func.object_writer, "reduce_reader": func.object_reader}
    found = [
        rows(["raw://x"], map=things, reduce=sums, sort=True, nr_reduces=1, mem_sort_limit=limit, **how)
        for limit in (256 << 20, 1 << 20)
    ]
    assert found[0] == found[1] == [(date(2024, 1, 1 + n), sum(range(n, 30_000, 3))) for n in range(3)]


def by_hash(key: str, nr_reduces: int, params: Any) -> int:
    return hash(key) % nr_reduces


def by_chance(key: str, nr_reduces: int, params: Any) -> int:
    return random.randrange(nr_reduces)


def by_crc(key: str, nr_reduces: int, params: Any) -> int:
    return zlib.crc32(key.encode()) % nr_reduces


def keys(line: str, params: Any) -> Iterator[tuple[str, int]]:
    for n in range(300):
        yield f"key{n}", 1


@pytest.mark.parametrize("sort", [True, False])
@pytest.mark.parametrize("function", [by_hash, by_crc])
def test_hash_is_the_same_in_all_our_processes(rows: Rows, function: Any, sort: bool) -> None:
    inputs = [f"raw://{n}" for n in range(4)]
    found = rows(inputs, map=keys, partition=function, reduce=func.sum_reduce, sort=sort, nr_reduces=3)
    assert sorted(found) == sorted((f"key{n}", 4) for n in range(300))


@pytest.mark.parametrize("sort", [True, False])
def test_a_partition_function_that_answers_otherwise_ends_the_job(rows: Rows, sort: bool) -> None:
    with pytest.raises(JobError, match=r"partition function by_chance does not answer the same.*'key\d+'"):
        rows(["raw://x"], map=keys, partition=by_chance, reduce=counted, sort=sort, nr_reduces=3)


def test_a_partition_function_that_only_a_map_can_ask_is_believed(rows: Rows) -> None:
    def prepare(entries: Any, params: Any) -> None:
        params["parts"] = 3

    def prepared(key: str, nr_reduces: int, params: Any) -> int:
        return len(key) % int(params["parts"])

    found = rows(
        ["raw://x"],
        map=keys,
        map_init=prepare,
        partition=prepared,
        reduce=func.sum_reduce,
        nr_reduces=3,
        params={},
    )
    assert len(found) == 300


def test_what_a_partition_function_counts_and_puts_counts_once(disco: Disco) -> None:
    def by_word(key: str, nr_reduces: int, params: Any) -> int:
        counter("asked")
        put(f"k-{key}", key)
        return zlib.crc32(key.encode()) % nr_reduces

    words = ["a", "b", "c", "d"]
    job = disco.new_job(
        "counted",
        ["raw://x"],
        map=lambda entry, params: [(word, 1) for word in words],
        partition=by_word,
        reduce=func.nop_reduce,
        nr_reduces=2,
    )
    assert sorted(result_iterator(job.wait(timeout=60))) == [(word, 1) for word in words]
    assert job.jobinfo()["counters"] == {"asked": 4}
    assert sorted(job.oob_list()) == [f"k-{word}" for word in words]


NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.integers(),
    st.sampled_from([0.5, 1.0, -0.0, float("nan"), float("inf")]),
    st.decimals(allow_nan=True, places=1, min_value=-3, max_value=3),
    st.text(max_size=2),
    st.binary(max_size=2),
    st.dates(date(2024, 1, 1), date(2024, 1, 3)),
    st.sampled_from([timedelta(1), timedelta(hours=24), timedelta(microseconds=1)]),
    st.sampled_from(
        [datetime(2024, 1, 1, 12, tzinfo=UTC).astimezone(timezone(timedelta(hours=h))) for h in (0, 5)]
    ),
    st.uuids(),
)
KEYS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.lists(inner, max_size=3).map(tuple)),
    max_leaves=4,
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=6,
)


def canonical(key: Any) -> Any:
    """Equal for keys that are equal in Python, NaNs included; to be looked up in a dict."""
    key = one_nan(key)
    return (type(key).__name__, tuple(map(canonical, key))) if isinstance(key, list | tuple) else key


BULK = "x" * 40_000


def plain_program(lines: list[list[tuple[Any, Any]]], *, bulky: bool) -> dict[Any, list[str]]:
    groups = defaultdict(list)
    for line in lines:
        for key, value in line:
            groups[canonical(key)].append(repr(value))
            if bulky:
                groups["bulk"].append(repr(BULK))
    return {key: sorted(values) for key, values in groups.items()}


def given_pairs(line: str, params: Any) -> Iterator[tuple[Any, Any]]:
    for pair in params["lines"][int(line)]:
        yield pair
        if params["bulky"]:  # more than the limit, so that it spills
            yield "bulk", BULK


def gathered(pairs: Any, params: Any) -> Iterator[tuple[Any, list[str]]]:
    """One pair a group when sorted; else one a pair."""
    for key, values in func.kvgroup(pairs):
        yield key, sorted(map(repr, values))


def in_lists(key: Any, value: Any, buffer: Any, done: bool, params: Any) -> Any:
    """Hands each pair on by and by."""
    if done:
        return buffer.pop("held", [])
    held = buffer.setdefault("held", [])
    held.append((key, value))
    if len(held) > 3:
        return buffer.pop("held")
    return None


OPTIONS = st.fixed_dictionaries(
    {
        "mem_sort_limit": st.sampled_from([1 << 20, 256 << 20]),
        "split_size": st.sampled_from([None, 4, 16]),
        "files_per_task": st.sampled_from([1, 2]),
        "nr_reduces": st.integers(1, 4),
        "sort": st.booleans(),
        "combiner": st.sampled_from([None, in_lists]),
    }
)


def held_against_a_plain_program(
    rows: Rows, directory: Path, lines: list[list[tuple[Any, Any]]], options: dict[str, Any]
) -> None:
    for number in range(2):
        (directory / f"{number}.txt").write_text(
            "".join(f"{line}\n" for line in range(len(lines)) if line % 2 == number)
        )
    bulky = options["mem_sort_limit"] < 2 << 20
    params = {"lines": lines, "bulky": bulky}
    found = rows([f"dir://{directory}"], map=given_pairs, reduce=gathered, params=params, **options)
    together: defaultdict[Any, list[str]] = defaultdict(list)
    for key, values in found:
        together[canonical(key)] += values
    assert {key: sorted(values) for key, values in together.items()} == plain_program(lines, bulky=bulky)
    if options["sort"]:
        assert len(found) == len(together)


LINES = st.lists(st.lists(st.tuples(KEYS, VALUES), max_size=12), min_size=1, max_size=8)
UNHURRIED: Any = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@settings(max_examples=60, **UNHURRIED)
@given(lines=LINES, options=OPTIONS)
def test_in_one_process_any_job_answers_as_a_plain_program(
    tmp_path_factory: pytest.TempPathFactory, lines: Any, options: Any
) -> None:
    def rows(inputs: list[str], **arguments: Any) -> list[Any]:
        return list(result_iterator(local.run("one", inputs, **arguments).wait()))

    held_against_a_plain_program(rows, tmp_path_factory.mktemp("lines"), lines, options)


@settings(max_examples=12, **UNHURRIED)
@given(lines=LINES, options=OPTIONS)
def test_on_a_cluster_any_job_answers_as_a_plain_program(
    disco: Disco, tmp_path_factory: pytest.TempPathFactory, lines: Any, options: Any
) -> None:
    def rows(inputs: list[str], **arguments: Any) -> list[Any]:
        return list(result_iterator(disco.new_job("one", inputs, **arguments).wait(timeout=60)))

    held_against_a_plain_program(rows, tmp_path_factory.mktemp("lines"), lines, options)
