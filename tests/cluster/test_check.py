"""Some maps run a second time, to see whether they give the same."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from disco_rq import Disco, Job, JobArgumentError, JobError, func, local, result_iterator
from disco_rq.runtime import counter, msg, put, this_partition

LINES = "one two\nthree\nfour one\n"
COUNTS = {"four": 4, "one": 8, "three": 4, "two": 4}


def words(line: str, params: Any) -> Iterator[tuple[str, int]]:
    counter("lines")
    for word in line.split():
        yield word, 1


def speaks(line: str, params: Any) -> Iterator[tuple[str, int]]:
    put(f"{this_partition()}:{line.replace(' ', '-')}", line)
    msg(line)
    yield from words(line, params)


def shuffled(line: str, params: Any) -> list[tuple[str, int]]:
    pairs = list(words(line, params))
    random.shuffle(pairs)
    return pairs


def by_chance(line: str, params: Any) -> Iterator[tuple[str, float]]:
    yield line, random.random()


def sums(pairs: Any, params: Any) -> Iterator[tuple[str, int]]:
    for word, counts in func.kvgroup(pairs):
        yield word, sum(counts)


@pytest.fixture
def lines(tmp_path: Path) -> list[str]:
    paths = [tmp_path / f"{name}.txt" for name in "abcd"]
    for path in paths:
        path.write_text(LINES)
    return list(map(str, paths))


def start(disco: Disco, lines: list[str], **arguments: Any) -> Job:
    options = {"reduce": sums, "sort": True, "nr_reduces": 2, "check": 1, **arguments}
    return disco.new_job("checked", lines, **options)


def death(job: Job) -> str:
    with pytest.raises(JobError) as error:
        job.wait(timeout=60)
    return str(error.value)


@pytest.mark.parametrize("function", [words, shuffled])
def test_maps_that_give_the_same_in_whatever_order_are_checked(
    disco: Disco, lines: list[str], function: Any
) -> None:
    job = start(disco, lines, map=function)

    assert dict(result_iterator(job.wait(timeout=60))) == COUNTS
    found = job.jobinfo()
    assert found["counters"] == {"lines": 12}
    assert (found["check"]["maps"], found["check"]["done"], found["check"]["unchecked"]) == (4, 4, 0)
    assert found["mapi"] == [0, 0, 4, 0]


def test_what_a_second_run_puts_and_says_is_not_heard(disco: Disco, lines: list[str]) -> None:
    job = start(disco, lines[:1], map=speaks)
    job.wait(timeout=60)

    assert job.oob_list() == ["0:four-one", "0:one-two", "0:three"]
    said = [message for _, (_, _, message) in job.events()]
    assert said.count("three") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"nr_reduces": 1},
        {"reduce": None, "nr_reduces": 0, "sort": False},
        {"reduce": None},
        {"sort": False},
    ],
)
def test_a_difference_ends_the_job_with_map_partition_and_key(
    disco: Disco, lines: list[str], arguments: Any
) -> None:
    cause = death(start(disco, lines[:1], map=by_chance, **arguments))

    assert "map:0 is not deterministic: run a second time, on localhost, it differs in partition" in cause
    assert "first at the key '" in cause


def test_bytes_of_a_writer_are_compared_too(disco: Disco, lines: list[str]) -> None:
    def writer(fd: Any, key: Any, value: Any, params: Any) -> None:
        fd.write(f"{key}={value}\n".encode())

    arguments: dict[str, Any] = {"map_writer": writer, "reduce": None, "sort": False}
    start(disco, lines, map=words, **arguments).wait(timeout=60)

    assert "is not deterministic" in death(start(disco, lines, map=by_chance, **arguments))


def test_a_second_run_that_raises_is_a_difference(disco: Disco, lines: list[str], tmp_path: Path) -> None:
    def once(line: str, params: Any) -> Iterator[tuple[str, int]]:
        flag = tmp_path / f"{this_partition()} {line}"
        if flag.exists():
            raise ValueError("I have seen this")
        flag.touch()
        yield line, 1

    cause = death(start(disco, lines[:1], map=once))

    assert (
        "map:0 is not deterministic: run a second time, on localhost, it failed: ValueError: I have" in cause
    )


def test_a_check_that_cannot_be_run_ends_nothing_and_is_told(
    disco: Disco, lines: list[str], tmp_path: Path
) -> None:
    def once(line: str, params: Any) -> Iterator[tuple[str, int]]:
        flag = tmp_path / f"{this_partition()} {line}"
        if flag.exists():
            raise OSError("the disk is full")
        flag.touch()
        yield line, 1

    job = start(disco, lines[:1], map=once, max_failures=1)
    job.wait(timeout=60)

    found = job.jobinfo()["check"]
    assert (found["done"], found["unchecked"]) == (1, 1)
    assert any(
        "map:0 is not checked: its second run failed 2 times" in text for _, (_, _, text) in job.events()
    )


def test_a_part_of_the_maps_at_least_one(disco: Disco, lines: list[str]) -> None:
    job = start(disco, lines, map=words, check=0.01)
    job.wait(timeout=60)

    assert job.jobinfo()["check"]["done"] == 1


def test_without_it_nothing_is_checked(disco: Disco, lines: list[str]) -> None:
    job = start(disco, lines, map=words, check=0)
    job.wait(timeout=60)

    assert job.jobinfo()["check"] is None


def test_bad_entries_and_saved_results(disco: Disco, lines: list[str], tmp_path: Path) -> None:
    def strict(line: str, params: Any) -> Iterator[tuple[str, int]]:
        if line == "three":
            raise ValueError(line)
        yield line, 1

    out = tmp_path / "out"
    job = start(disco, lines, map=strict, reduce=None, nr_reduces=0, sort=False, max_bad=4, save=str(out))
    job.wait(timeout=60)

    assert job.jobinfo()["bad"] == 4
    assert job.jobinfo()["check"]["done"] == 4
    assert len(list(out.rglob("part-*"))) == 4


@pytest.mark.parametrize("wrong", [-0.1, 1.1, 2, True, "5%"])
def test_what_is_no_part_of_the_maps_is_refused(disco: Disco, lines: list[str], wrong: Any) -> None:
    with pytest.raises(JobArgumentError, match="check="):
        start(disco, lines, map=words, check=wrong)


def test_a_job_without_maps_has_nothing_to_check(disco: Disco) -> None:
    with pytest.raises(JobArgumentError, match="has no map"):
        disco.new_job("merge", ["dir://x"], reduce=sums, check=0.5)


def test_a_local_run_checks_as_well(lines: list[str]) -> None:
    arguments: dict[str, Any] = {"reduce": sums, "sort": True, "check": 1}

    good = local.run("checked", lines[:2], map=speaks, **arguments)

    assert dict(result_iterator(good.wait())) == {word: n // 2 for word, n in COUNTS.items()}
    assert (good.counters, len(good.oob_list())) == ({"lines": 6}, 6)
    assert good.messages.count("three") == 2
    with pytest.raises(JobError, match="map:0 is not deterministic: run a second time, it differs in part"):
        local.run("checked", lines, map=by_chance, **arguments)
