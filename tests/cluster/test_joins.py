"""``func.join``: the rows of two sides with the same key, whatever the memory and the order of the sides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from disco_rq import Disco, JobError, func, local, result_iterator
from disco_rq.errors import JobArgumentError
from tests.cluster.conftest import Rows
from tests.cluster.test_one_answer import KEYS, VALUES, canonical

SMALL = 1 << 20
HOW = ("inner", "left", "outer")
LINES = st.lists(
    st.lists(st.tuples(KEYS, st.tuples(st.sampled_from(["left", "right"]), VALUES)), max_size=12),
    min_size=1,
    max_size=8,
)
OPTIONS = st.fixed_dictionaries(
    {
        "mem_sort_limit": st.sampled_from([SMALL, 256 << 20]),
        "split_size": st.sampled_from([None, 4]),
        "nr_reduces": st.integers(1, 3),
        "sort_values": st.booleans(),
    }
)
BULK = "x" * 40_000
UNHURRIED: Any = {"deadline": None, "suppress_health_check": list(HealthCheck)}


def given_pairs(line: str, params: Any) -> Iterator[tuple[Any, Any]]:
    for pair in params["lines"][int(line)]:
        yield pair
        if params["bulky"]:  # more than the limit, so that it spills
            yield BULK, ("left", 1)


def plain_join(lines: Any, how: str, bulky: bool) -> Counter[Any]:
    sides: Any = {"left": {}, "right": {}}
    for line in lines:
        for key, (side, row) in line:
            sides[side].setdefault(canonical(key), []).append(repr(row))
            if bulky:
                sides["left"].setdefault(BULK, []).append("1")
    found: Counter[Any] = Counter()
    for key in sides["left"].keys() | sides["right"].keys():
        left, right = sides["left"].get(key, []), sides["right"].get(key, [])
        if left and right:
            found.update((key, one, other) for one in left for other in right)
        elif left and how != "inner":
            found.update((key, one, "None") for one in left)
        elif right and how == "outer":
            found.update((key, "None", other) for other in right)
    return found


def held_against_a_plain_join(
    run: Callable[..., Any], directory: Path, lines: Any, how: Any, options: dict[str, Any]
) -> None:
    (directory / "lines.txt").write_text("".join(f"{line}\n" for line in range(len(lines))))
    bulky = options["mem_sort_limit"] == SMALL
    job = run(
        "join",
        [str(directory / "lines.txt")],
        map=given_pairs,
        reduce=func.join(how),
        sort=True,
        params={"lines": lines, "bulky": bulky},
        **options,
    )
    found = Counter(
        (canonical(key), repr(left), repr(right))
        for key, (left, right) in result_iterator(job.wait(timeout=60))
    )
    assert found == plain_join(lines, how, bulky)


@settings(max_examples=60, **UNHURRIED)
@given(lines=LINES, how=st.sampled_from(HOW), options=OPTIONS)
def test_in_one_process_a_join_answers_as_a_plain_one(
    tmp_path_factory: pytest.TempPathFactory, lines: Any, how: str, options: Any
) -> None:
    held_against_a_plain_join(local.run, tmp_path_factory.mktemp("lines"), lines, how, options)


@settings(max_examples=8, **UNHURRIED)
@given(lines=LINES, how=st.sampled_from(HOW), options=OPTIONS)
def test_on_a_cluster_a_join_answers_as_a_plain_one(
    disco: Disco, tmp_path_factory: pytest.TempPathFactory, lines: Any, how: str, options: Any
) -> None:
    held_against_a_plain_join(disco.new_job, tmp_path_factory.mktemp("lines"), lines, how, options)


def test_a_join_that_is_not_sorted_is_refused_at_submit(disco: Disco) -> None:
    before = len(disco.joblist())
    for run in (disco.new_job, local.run):
        with pytest.raises(JobArgumentError, match=r"reduce=func.join.*sort_values=True"):
            run("join", ["raw://0"], map=given_pairs, reduce=func.join(), nr_reduces=1)
    assert len(disco.joblist()) == before


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (
            ("middle", 1),
            r"takes values \(\"left\", row\) and .*\('middle', 1\) is of the type tuple.*in key 'k'",
        ),
        (7, r"7 is of the type int.*in key 'k'"),
    ],
)
@pytest.mark.parametrize("sort_values", [True, False])
def test_a_value_without_a_side_is_told_with_its_key_and_type(
    rows: Rows, value: Any, told: str, sort_values: bool
) -> None:
    def pairs(line: str, params: Any) -> list[tuple[str, Any]]:
        return [("k", value)]

    with pytest.raises(JobError, match=told):
        rows(["raw://x"], map=pairs, reduce=func.join(), sort=True, sort_values=sort_values, nr_reduces=1)
