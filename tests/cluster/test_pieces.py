"""The ready-made pieces: each answers as a plain program, whatever the memory, the split and the combiner."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from disco_rq import Disco, JobError, func, local, result_iterator
from disco_rq.shuffle.folding import Aggregate
from disco_rq.shuffle.sortorder import sort_key
from tests.cluster.conftest import Rows
from tests.cluster.test_one_answer import KEYS, VALUES, canonical

Line = list[tuple[Any, Any]]
Plain = Callable[[list[Any]], Any]
BULK = "x" * 40_000
SMALL = 1 << 20
FILES = 2


def given_pairs(line: str, params: Any) -> Iterator[tuple[Any, Any]]:
    for pair in params["lines"][int(line)]:
        yield pair
        if params["bulky"]:  # more than the limit, so that it spills
            yield BULK, params["bulky"]


def groups_of(lines: list[Line], bulky: Any) -> dict[Any, list[Any]]:
    groups = defaultdict(list)
    for line in lines:
        for key, value in line:
            groups[canonical(key)].append(value)
            if bulky:
                groups[BULK].append(bulky)
    return groups


OPTIONS = st.fixed_dictionaries(
    {
        "mem_sort_limit": st.sampled_from([SMALL, 256 << 20]),
        "split_size": st.sampled_from([None, 4, 16]),
        "nr_reduces": st.integers(1, 3),
        "sort": st.booleans(),
        "sort_values": st.booleans(),
    }
)


def by_look(value: Any) -> tuple[Any, ...]:
    """The order of ``sort``, and of what is equal there the names of types: True before 1.0 before 1."""
    return sort_key(value), type(value).__qualname__, repr(value)


def without_none(values: list[Any]) -> list[Any]:
    return [value for value in values if value is not None]


def plain_mean(values: list[Any]) -> Any:
    values = without_none(values)
    if not values:
        return None
    kinds = set(map(type, values))
    if any(map(math.isnan, values)) or {math.inf, -math.inf} <= set(values):
        found: Any = math.nan
    elif math.inf in values or -math.inf in values:
        found = math.inf if math.inf in values else -math.inf
    else:
        exact = sum(map(Fraction, values), Fraction()) / len(values)
        if Decimal in kinds:
            return Decimal(exact.numerator) / Decimal(exact.denominator)
        return exact.numerator / exact.denominator
    return Decimal(found) if Decimal in kinds else found


def plain_distinct(values: list[Any]) -> int:
    return len(set(map(sort_key, without_none(values))))


def of_length(value: Any) -> int:
    return len(repr(value))


NUMBERS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(-1e300, 1e300), st.just(math.nan), st.just(math.inf)
)
DECIMALS = st.one_of(
    st.none(), st.integers(), st.decimals(places=3, min_value=-9, max_value=9), st.just(Decimal("nan"))
)
PIECES: dict[str, tuple[Aggregate, Plain, Any]] = {
    "least": (
        func.min_of_group(),
        lambda values: min(without_none(values), key=by_look, default=None),
        VALUES,
    ),
    "greatest": (
        func.max_of_group(),
        lambda values: max(without_none(values), key=by_look, default=None),
        VALUES,
    ),
    "first": (func.first_of_group(), lambda values: min(values, key=by_look), VALUES),
    "first by": (
        func.first_of_group(by=of_length),
        lambda values: min(values, key=lambda value: (of_length(value), by_look(value))),
        VALUES,
    ),
    "three largest": (
        func.top_n(3),
        lambda values: sorted(without_none(values), key=by_look, reverse=True)[:3],
        VALUES,
    ),
    "two smallest": (
        func.top_n(2, least=True),
        lambda values: sorted(without_none(values), key=by_look)[:2],
        VALUES,
    ),
    "distinct": (func.count_distinct(), plain_distinct, VALUES),
    "distinct, estimated": (func.count_distinct(error=0.01), plain_distinct, VALUES),
    "mean of numbers": (func.mean_of_group(), plain_mean, NUMBERS),
    "mean of Decimals": (func.mean_of_group(), plain_mean, DECIMALS),
}
UNHURRIED: Any = {"deadline": None, "suppress_health_check": list(HealthCheck)}


def held_against_a_plain_program(
    run: Callable[..., Any], directory: Path, data: st.DataObject, name: str
) -> None:
    piece, plain, values = PIECES[name]
    pairs = st.tuples(KEYS, values)
    lines = data.draw(st.lists(st.lists(pairs, max_size=12), min_size=1, max_size=8))
    options = data.draw(OPTIONS)
    combiner = data.draw(st.sampled_from([piece.combiner, wrapped(piece.combiner), None]))
    bulky = 3 if options["mem_sort_limit"] == SMALL else None
    for number in range(FILES):
        (directory / f"{number}.txt").write_text(
            "".join(f"{line}\n" for line in range(len(lines)) if line % FILES == number)
        )
    found = run(
        "pieces",
        [f"dir://{directory}"],
        map=given_pairs,
        combiner=combiner,
        reduce=piece.reduce,
        params={"lines": lines, "bulky": bulky},
        **options,
    )
    answers = [(canonical(key), repr(value)) for key, value in result_iterator(found.wait(timeout=60))]
    expected = {key: repr(plain(values)) for key, values in groups_of(lines, bulky).items()}
    assert len(answers) == len(expected)
    assert dict(answers) == expected


def wrapped(combiner: Callable[..., Any]) -> Callable[..., Any]:
    """One of the user's own, which calls ours."""

    def own(key: Any, value: Any, buffer: Any, done: bool, params: Any) -> Any:
        return combiner(key, value, buffer, done, params)

    return own


@settings(max_examples=25, **UNHURRIED)
@given(data=st.data())
@pytest.mark.parametrize("name", PIECES)
def test_in_one_process_each_piece_answers_as_a_plain_program(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    held_against_a_plain_program(local.run, tmp_path_factory.mktemp("lines"), data, name)


@settings(max_examples=8, **UNHURRIED)
@given(data=st.data(), name=st.sampled_from(sorted(PIECES)))
def test_on_a_cluster_each_piece_answers_as_a_plain_program(
    disco: Disco, tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    held_against_a_plain_program(disco.new_job, tmp_path_factory.mktemp("lines"), data, name)


def words(line: str, params: Any) -> list[tuple[str, int]]:
    return [(word, 1) for word in line.split()]


@pytest.mark.parametrize("sort", [True, False])
def test_the_keys_with_the_largest_sums_come_first_and_equal_ones_in_order(rows: Rows, sort: bool) -> None:
    combiner, reduce = func.top_keys(3)
    found = rows(
        ["raw://a b c b c c d d e", "raw://d f"],
        map=words,
        combiner=combiner,
        reduce=reduce,
        sort=sort,
        nr_reduces=1,
    )
    assert found == [("c", 3), ("d", 3), ("b", 2)]


def test_the_mean_of_timedeltas_is_one(rows: Rows) -> None:
    def times(line: str, params: Any) -> list[tuple[str, timedelta]]:
        return [("t", timedelta(seconds=1)), ("t", timedelta(seconds=2))]

    combiner, reduce = func.mean_of_group()
    found = rows(["raw://x"], map=times, combiner=combiner, reduce=reduce, nr_reduces=1)
    assert found == [("t", timedelta(seconds=1.5))]


@pytest.mark.parametrize("combining", [True, False])
@pytest.mark.parametrize("sort", [True, False])
@pytest.mark.parametrize(
    ("value", "told"),
    [
        (
            "x",
            r"func.mean_of_group takes numbers and timedeltas, and 'x' is of the type str.*in (the )?key 'k'",
        ),
        (Decimal(1), r"there are some of (float|Decimal) and some of (float|Decimal).*in (the )?key 'k'"),
    ],
)
def test_what_has_no_mean_is_told_with_its_key_and_type(
    rows: Rows, value: Any, told: str, combining: bool, sort: bool
) -> None:
    def pairs(line: str, params: Any) -> list[tuple[str, Any]]:
        return [("k", 0.5), ("k", value)]

    combiner, reduce = func.mean_of_group()
    with pytest.raises(JobError, match=told):
        rows(
            ["raw://x"],
            map=pairs,
            combiner=combiner if combining else None,
            reduce=reduce,
            sort=sort,
            nr_reduces=1,
        )


class Opaque:
    """Has no order."""


def test_a_value_without_an_order_is_told_with_its_key_and_type(rows: Rows) -> None:
    def things(line: str, params: Any) -> list[tuple[str, Any]]:
        return [("k", Opaque())]

    for combiner, reduce in (func.min_of_group(), func.top_n(2)):
        with pytest.raises(JobError, match=r"takes values that have an order, and .* type Opaque.* key 'k'"):
            rows(["raw://x"], map=things, combiner=combiner, reduce=reduce, nr_reduces=1)
