"""What a job with a reduce only reads, and how many reduces it has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from disco_rq.errors import DataError, JobArgumentError
from disco_rq.inputs.merging import plan_merge

JOB = "job@20260101-000000-abcd"
OTHER = "other@20260101-000000-abcd"


def result(task: str, job: str = JOB, node: str = "a") -> str:
    return f"disco://{node}/{job}/{task}.1"


def having(**partitions: int) -> Callable[[str], int]:
    """Results whose partitions are known by the first word of their job's name."""
    return lambda address: partitions[address.split("/")[3].partition("@")[0]]


def refused(*arguments: Any) -> str:
    with pytest.raises(JobArgumentError) as caught:
        plan_merge(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_there_are_as_many_reduces_as_the_results_have_partitions() -> None:
    addresses = [result("map-0"), result("map-1", node="b"), result("map-0", OTHER)]

    inputs, nr_reduces = plan_merge(addresses, None, having(job=4, other=4))

    assert [entry.urls() for entry in inputs] == [[address] for address in addresses]
    assert nr_reduces == 4


def test_one_result_of_each_phase_is_looked_at() -> None:
    asked = []

    def look(address: str) -> int:
        asked.append(address)
        return 1

    results = [result(task, job) for job in (JOB, OTHER) for task in ("map-0", "map-1", "reduce-0")]
    plan_merge(results, None, look)

    assert asked == [results[i] for i in (0, 2, 3, 5)]


def test_different_numbers_of_partitions_are_refused() -> None:
    text = refused([result("map-0"), result("map-0", OTHER)], None, having(job=4, other=1))

    assert text.startswith(f"input {result('map-0', OTHER)} has 1 partition, {result('map-0')} has 4")


@pytest.mark.parametrize("nr_reduces", [1, 3, 5])
def test_another_nr_reduces_than_there_are_partitions_is_refused(nr_reduces: int) -> None:
    text = refused([result("map-0")], nr_reduces, having(job=4))

    assert text.startswith(f"nr_reduces={nr_reduces}:")
    assert text.endswith(f"{result('map-0')} has 4 partitions")


def test_anything_else_takes_one_reduce(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "b").touch()
    mixed = [f"dir://{tmp_path}", "raw://text", result("reduce-0")]

    for nr_reduces in (None, 1):
        inputs, number = plan_merge(mixed, nr_reduces, having(job=1))
        assert (len(inputs), number) == (4, 1)
    assert "nr_reduces=2: " in refused(["raw://text"], 2, having())


def test_partitioned_results_and_other_inputs_do_not_mix() -> None:
    assert "input raw://text has 1 partition, " in refused(
        [result("map-0"), "raw://text"], None, having(job=2)
    )


def test_dir_names_a_result_too() -> None:
    inputs, _ = plan_merge([result("map-0").replace("disco://", "dir://")], None, having(job=2))

    assert inputs[0].urls() == [result("map-0")]


def test_replicas_are_refused() -> None:
    assert "replicas need a map" in refused([["raw://a", "raw://b"]], None, having())


@pytest.mark.parametrize("address", ["disco://a/job/map-0.1", f"disco://a/{JOB}/map-0", "disco://"])
def test_what_is_no_result_is_named(address: str) -> None:
    assert refused([address], None, having()).startswith(f"input {address}: not the address")


def test_a_result_that_cannot_be_read_is_named() -> None:
    def gone(address: str) -> int:
        raise DataError("there is no node a", address)

    assert refused([result("map-0")], None, gone).startswith(f"input {result('map-0')}: there is no node a")


def test_no_input_is_no_work() -> None:
    assert plan_merge([], None, having()) == ([], 1)
