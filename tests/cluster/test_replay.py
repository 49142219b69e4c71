"""A task once more, in this process: what it does, and whether that is what it has done."""

from __future__ import annotations

import builtins
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from disco_rq import DataError, Disco, DiscoError, Job, JobError, UnknownJob, func
from disco_rq.errors import BadEntryError
from disco_rq.runtime import counter, get, msg, put, skip_entry, this_partition
from tests.external import ECHO, python_program

LINES = "one two\nthree\nfour one\n"


def words(line: str, params: Any) -> Iterator[tuple[str, int]]:
    counter("lines")
    msg(f"at {line}")
    for word in line.split():
        yield word, 1


def puts(line: str, params: Any) -> Iterator[tuple[str, int]]:
    put(f"{this_partition()}-{line.replace(' ', '-')}", {"line": line})
    yield line, 1


def sums(pairs: Any, params: Any) -> Iterator[tuple[str, int]]:
    counter("reduced")
    for word, counts in func.kvgroup(pairs):
        yield word, sum(counts)


def fails(pairs: Any, params: Any) -> Iterator[tuple[str, int]]:
    raise ValueError("not yet")


def fails_at_four(line: str, params: Any) -> Iterator[tuple[str, int]]:
    if line.startswith("four"):
        raise ValueError(f"what is {line}?")
    yield line, 1


def by_chance(line: str, params: Any) -> Iterator[tuple[str, float]]:
    yield line, random.random()


def without_three(line: str, params: Any) -> Iterator[tuple[str, int]]:
    if line == "three":
        skip_entry(line, "no threes")
    if line == "four one":
        raise ValueError("no fours")
    yield line, 1


@pytest.fixture
def lines(tmp_path: Path) -> list[str]:
    paths = [tmp_path / name for name in ("a.txt", "b.txt")]
    for path in paths:
        path.write_text(LINES)
    return list(map(str, paths))


def ready(disco: Disco, lines: list[str], **arguments: Any) -> Job:
    job = disco.new_job("replayed", lines, **{"nr_reduces": 2, "sort": True, **arguments})
    job.wait(timeout=60)
    return job


def dead(disco: Disco, lines: list[str], **arguments: Any) -> Job:
    job = disco.new_job("replayed", lines, **{"nr_reduces": 2, "sort": True, **arguments})
    with pytest.raises(JobError):
        job.wait(timeout=60)
    return job


def test_a_map_gives_what_it_has_committed(disco: Disco, lines: list[str]) -> None:
    job = ready(disco, lines, map=words, reduce=sums)

    done = job.replay("map:1")

    assert sorted(done.pairs) == [("four", 1), ("one", 1), ("one", 1), ("three", 1), ("two", 1)]
    assert done.counters == {"lines": 3}
    assert done.messages == ["at one two", "at three", "at four one"]
    assert (done.error, done.agrees, done.attempt) == (None, True, 1)


@pytest.mark.parametrize("nr_reduces", [1, 2])
def test_a_reduce_gives_what_it_has_committed(disco: Disco, lines: list[str], nr_reduces: int) -> None:
    job = ready(disco, lines, map=words, reduce=sums, nr_reduces=nr_reduces)

    found = [job.replay(f"reduce:{number}") for number in range(nr_reduces)]

    assert dict(pair for done in found for pair in done.pairs) == {"four": 2, "one": 4, "three": 2, "two": 2}
    assert [done.agrees for done in found] == [True] * nr_reduces


def test_oob_results_are_compared_and_none_is_put(disco: Disco, lines: list[str]) -> None:
    job = ready(disco, lines, map=puts, reduce=sums)

    done = job.replay("map:0")

    assert done.puts == {
        "0-one-two": {"line": "one two"},
        "0-three": {"line": "three"},
        "0-four-one": {"line": "four one"},
    }
    assert done.agrees


def test_a_reduce_reads_the_oob_results_of_its_maps(disco: Disco, lines: list[str]) -> None:
    def reads(pairs: Any, params: Any) -> Iterator[tuple[str, Any]]:
        yield from ((key, get(f"0-{key.replace(' ', '-')}")["line"]) for key, _ in pairs)

    job = ready(disco, lines[:1], map=puts, reduce=reads, nr_reduces=1)

    assert job.replay("reduce:0").agrees


@pytest.mark.parametrize("arguments", [{"nr_reduces": 0}, {"nr_reduces": 2}, {"combiner": func.sum_combiner}])
def test_jobs_without_a_reduce(disco: Disco, lines: list[str], arguments: Any) -> None:
    job = ready(disco, lines, map=words, **{"sort": False, **arguments})

    assert job.replay("map:1").agrees is True


def test_a_writer_of_the_jobs_own(disco: Disco, lines: list[str]) -> None:
    def writer(fd: Any, key: Any, value: Any, params: Any) -> None:
        fd.write(f"{key}={value}\n".encode())

    job = ready(disco, lines, map=words, reduce=sums, reduce_writer=writer, nr_reduces=1)

    done = job.replay("reduce:0")

    assert (done.written, done.pairs, done.agrees) == (b"four=2\none=4\nthree=2\ntwo=2\n", [], True)


@pytest.mark.parametrize("format", ["jsonl", "csv", "msgpack"])
def test_saved_results_are_compared_where_they_were_saved(
    disco: Disco, lines: list[str], tmp_path: Path, format: str
) -> None:
    target = tmp_path / "out"
    job = ready(disco, lines, map=words, reduce=sums, save=str(target), save_format=format)
    before = sorted(path.stat().st_mtime_ns for path in target.rglob("*"))

    assert [job.replay(f"reduce:{number}").agrees for number in (0, 1)] == [True, True]
    assert sorted(path.stat().st_mtime_ns for path in target.rglob("*")) == before


def test_an_external_program(disco: Disco, lines: list[str], tmp_path: Path) -> None:
    job = ready(disco, lines, map=python_program(tmp_path / "echo.py", ECHO))

    assert job.replay("map:0").agrees is True


def test_a_map_that_is_not_deterministic_is_told_with_its_first_key(disco: Disco, lines: list[str]) -> None:
    job = ready(disco, lines, map=by_chance, reduce=sums)

    done = job.replay("map:0")

    assert done.agrees is False
    assert any("partition" in note and "first at the key" in note for note in done.notes)


def test_a_failed_attempt_fails_alike(disco: Disco, lines: list[str]) -> None:
    job = dead(disco, lines[:1], map=fails_at_four, reduce=sums)

    done = job.replay("map:0")

    assert isinstance(done.error, ValueError)
    assert (done.agrees, done.fails_alike, done.pairs) == (None, True, [])
    assert done.notes == ["it fails as map:0/1 did"]


def test_an_attempt_that_failed_of_its_node_does_not_fail_here(
    disco: Disco, lines: list[str], tmp_path: Path
) -> None:
    flag = tmp_path / "flag"

    def fails_once(line: str, params: Any) -> Iterator[tuple[str, int]]:
        if not flag.exists():
            flag.touch()
            raise OSError("the disk is full")
        yield line, 1

    job = ready(disco, lines[:1], map=fails_once, reduce=sums)

    done = job.replay("map:0", attempt=1)

    assert (done.error, done.agrees, done.fails_alike) == (None, None, False)
    assert "the disk is full" in done.notes[-1]
    assert job.replay("map:0").agrees


def test_one_entry_only(disco: Disco, lines: list[str]) -> None:
    job = dead(disco, lines[:1], map=fails_at_four, reduce=sums)

    well, ill = job.replay("map:0", entry=1), job.replay("map:0", entry=3)

    assert (well.pairs, well.error, well.agrees) == ([("one two", 1)], None, None)
    assert isinstance(ill.error, ValueError)
    assert any(note.startswith("in entry 3 of ") for note in ill.error.__notes__)
    with pytest.raises(DiscoError, match="map:0 has no entry 4"):
        job.replay("map:0", entry=4)


def test_entries_are_numbered_as_bad_entries_are(disco: Disco, lines: list[str]) -> None:
    job = ready(disco, lines[:1], map=without_three, reduce=sums, max_bad=5)
    numbers = [bad.number for bad in job.bad_entries()]

    errors = [job.replay("map:0", entry=number).error for number in numbers]
    whole = job.replay("map:0")

    assert [type(error) for error in errors] == [BadEntryError, ValueError]
    assert (whole.left_out, whole.agrees, whole.pairs) == (2, True, [("one two", 1)])


def test_an_entry_that_the_reader_left_out_is_replayed_as_that(disco: Disco, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"a": 1}\nnonsense\n{"a": 3}\n')

    def rows(row: Any, params: Any) -> Iterator[tuple[int, int]]:
        yield row["a"], 1

    job = ready(disco, [str(file)], map=rows, map_reader=func.jsonl_reader(), reduce=sums, max_bad=1)

    assert isinstance(job.replay("map:0", entry=2).error, BadEntryError)
    assert job.replay("map:0", entry=3).pairs == [(3, 1)]


def test_total_order_goes_by_the_ranges_of_the_job(disco: Disco, lines: list[str]) -> None:
    job = ready(disco, lines, map=words, reduce=sums, partition=func.total_order)

    assert [job.replay(task).agrees for task in ("map:0", "map:1", "reduce:0", "reduce:1")] == [True] * 4


def test_a_map_of_one_input_of_several(disco: Disco, lines: list[str]) -> None:
    job = disco.new_job("sides", [(lines[0], words), (lines[1], puts)], reduce=sums, nr_reduces=2)
    job.wait(timeout=60)

    assert [job.replay(task).agrees for task in ("map:0", "map:1", "reduce:0")] == [True] * 3


def test_a_reduce_cannot_be_replayed_before_its_maps_are_done(disco: Disco, lines: list[str]) -> None:
    job = dead(disco, lines, map=fails_at_four, reduce=sums)

    with pytest.raises(DiscoError, match="not all maps"):
        job.replay("reduce:0")


def test_a_map_output_that_is_gone_is_no_error_of_the_task(lines: list[str]) -> None:
    with Disco(workers=1) as disco:
        job = ready(disco, lines, map=words, reduce=sums)
        assert disco.session.locator.path(disco.session.store.outputs(job.name).popitem()[1]) is not None
        for task, address in disco.session.store.outputs(job.name).items():
            path = disco.session.locator.path(address)
            assert path is not None
            if task.phase == "map":
                path.unlink()

        with pytest.raises(DataError, match="the file is gone"):
            job.replay("reduce:0")


@pytest.mark.parametrize(
    ("task", "options", "why"),
    [
        ("map:7", {}, "has no task map:7"),
        ("mop:0", {}, "is no task"),
        ("map:0", {"attempt": 9}, "has no attempt 9: there are 1"),
        ("map:0", {"entry": 0}, "counted from 1"),
        ("reduce:0", {"entry": 1}, "entries are those of maps"),
    ],
)
def test_what_is_not_there_is_named(
    disco: Disco, lines: list[str], task: str, options: Any, why: str
) -> None:
    job = ready(disco, lines, map=words, reduce=sums)

    with pytest.raises(DiscoError, match=why):
        job.replay(task, **options)


@pytest.mark.parametrize("how", ["gone", "rewritten"])
def test_an_input_that_cannot_be_read_any_more_says_nothing_of_the_task(
    disco: Disco, lines: list[str], how: str
) -> None:
    job = ready(disco, lines, map=words, reduce=sums)
    Path(lines[1]).unlink()
    if how == "rewritten":
        Path(lines[1]).write_text("another file, which is longer than the first one was\n")

    done = job.replay("map:1")

    assert isinstance(done.error, DataError)
    assert (done.agrees, done.notes) == (
        None,
        ["what map:1/1 has read cannot be read any more: nothing is compared"],
    )


def test_elements_that_a_list_has_no_more(disco: Disco) -> None:
    key = f"list-{random.random()}"
    disco.session.connection.redis.rpush(key, *range(10))

    def same(element: bytes, params: Any) -> Iterator[tuple[bytes, int]]:
        yield element, 1

    job = ready(disco, [f"redis:///list/{key}"], map=same, split_size=5, sort=False)
    assert job.replay("map:1").agrees
    disco.session.connection.redis.ltrim(key, 7, -1)

    done = job.replay("map:1")

    assert done.agrees is None
    assert key in str(done.error)


def test_a_task_that_was_kept_of_other_code_says_so(disco: Disco, lines: list[str]) -> None:
    first = dead(disco, lines, map=words, reduce=fails)
    job = first.retry(map=by_chance, reduce=sums)
    job.wait(timeout=60)

    done = job.replay("map:0")

    assert done.agrees is False
    assert done.notes[-1] == f"map:0/1 was kept of {first.name}, perhaps of other code"


def test_a_job_that_was_purged_is_unknown(disco: Disco, lines: list[str]) -> None:
    job = ready(disco, lines, map=words, reduce=sums)
    job.purge()

    with pytest.raises(UnknownJob):
        job.replay("map:0")


def test_the_process_is_as_before(disco: Disco, lines: list[str]) -> None:
    job = ready(disco, lines, map=words, reduce=sums, required_files={"beside.py": b"x = 1"})
    before = Path.cwd(), list(sys.path), dict(vars(builtins)), set(sys.modules)
    job.replay("map:0")

    assert (Path.cwd(), list(sys.path), dict(vars(builtins))) == before[:3]
    assert "beside" not in sys.modules


def test_a_job_that_goes_on_with_what_another_has_committed(
    disco: Disco, lines: list[str], tmp_path: Path
) -> None:
    first = dead(disco, lines, map=words, reduce=fails)
    second = first.retry(reduce=sums)
    second.wait(timeout=60)
    assert second.jobinfo()["kept"] == 2

    found = [second.replay(task) for task in ("map:0", "map:1", "reduce:0", "reduce:1")]

    assert [(done.agrees, done.error) for done in found] == [(True, None)] * 4
