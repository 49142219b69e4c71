"""Bad entries of a local run. A cluster's: ``tests/redis/test_bad_entries.py`` and ``tests/cluster``."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from disco_rq import BadEntry, JobArgumentError, JobError, func, result_iterator
from disco_rq.local import runner as local
from disco_rq.runtime import counter, data_err, err, put, skip_entry
from tests.external import python_program

KIB = 1 << 10
REFUSE = """def refuse(why):
    sys.stdout.buffer.write(struct.pack("<II", 0xFFFFFFFF, len(why)) + why)
    sys.stdout.buffer.flush()
"""


def run(*inputs: str | Path, **arguments: Any) -> local.LocalJob:
    arguments = {"max_bad": 100, "split_size": None} | arguments
    return local.run("bad", list(map(str, inputs)), **arguments)


def pairs(job: local.LocalJob) -> list[Any]:
    return sorted(result_iterator(job.wait()), key=repr)


def bad(job: local.LocalJob) -> list[BadEntry]:
    return list(job.bad_entries())


def death(*inputs: str | Path, **arguments: Any) -> str:
    with pytest.raises(JobError) as caught:
        run(*inputs, **arguments)
    return str(caught.value)


def numbers(e: str, params: Any) -> Iterator[tuple[Any, int]]:
    """What comes before the error must not count either."""
    yield "before", 1
    counter("numbers")
    put(f"of:{e}", e)
    yield int(e), 1


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "numbers.txt"
    path.write_text("1\nx\n3\n\ny4\n6\n")
    return path


def test_of_a_bad_entry_no_pair_counter_or_oob_result_counts(lines: Path) -> None:
    job = run(lines, map=numbers)

    assert pairs(job) == [("before", 1), ("before", 1), ("before", 1), (1, 1), (3, 1), (6, 1)]
    assert job.counters == {"numbers": 3}
    assert job.oob_list() == ["of:1", "of:3", "of:6"]


def test_each_is_kept_with_where_it_is_and_why(lines: Path) -> None:
    first, second, third = bad(run(lines, map=numbers))

    error = "ValueError: invalid literal for int() with base 10: 'x'"
    assert first[:6] == ("map:0", str(lines), 2, 2, "x", error)
    assert "in numbers" in first.traceback
    assert first.traceback.rstrip().endswith(error)
    assert (second.offset, second.number, second.entry) == (6, 4, "")
    assert (third.offset, third.number, third.entry) == (7, 5, "y4")


def test_pieces_of_a_file_tell_the_bytes_of_the_file(lines: Path) -> None:
    job = run(lines, map=numbers, split_size=5)

    found = [(entry.task, entry.offset, entry.entry) for entry in bad(job)]
    assert [where[1:] for where in found] == [(2, "x"), (6, ""), (7, "y4")]
    assert len({task for task, _, _ in found}) > 1


def test_without_max_bad_the_first_one_ends_the_job(lines: Path) -> None:
    assert "ValueError: invalid literal" in death(lines, map=numbers, max_bad=0)


def test_one_more_than_allowed_ends_the_job_with_the_causes(lines: Path) -> None:
    assert len(bad(run(lines, map=numbers, max_bad=3))) == 3

    told = death(lines, map=numbers, max_bad=2)

    assert "BadEntryError: too many bad entries: 3, more than max_bad=2 allows: " in told
    assert (
        f"3 times, such as ValueError: invalid literal for int() with base 10: 'x' ({lines}, byte 2; " in told
    )


def test_causes_of_several_kinds_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_text("a\nb\nkey\n1\n")

    def fail(e: str, params: Any) -> list[Any]:
        if e == "key":
            raise KeyError(e)
        return [(int(e), 1)]

    told = death(path, map=fail, max_bad=2)

    assert (
        f"2 times, such as ValueError: invalid literal for int() with base 10: 'a' ({path}, byte 0; " in told
    )
    assert f"once KeyError: 'key' ({path}, byte 4)" in told


@pytest.mark.parametrize(("total", "wrong", "is_dead"), [(100, 10, False), (100, 11, True), (20, 3, True)])
def test_a_fraction_is_judged_at_the_end_of_the_maps(
    total: int, wrong: int, is_dead: bool, tmp_path: Path
) -> None:
    """The bad ones come first: before the end they would be far too many."""
    path = tmp_path / "lines"
    path.write_text("".join(f"{'x' if i < wrong else ''}{i}\n" for i in range(total)))

    if is_dead:
        told = death(path, map=numbers, max_bad=0.1, split_size=20)
        assert (
            f"too many bad entries: {wrong} of {total} that were read, more than max_bad=0.1 allows" in told
        )
    else:
        assert len(bad(run(path, map=numbers, max_bad=0.1, split_size=20))) == wrong


def test_a_hopeless_fraction_ends_the_job_before_its_last_map(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number:02}" for number in range(40)]
    for path in paths:
        path.write_text("x\n" * 500)

    told = death(*paths, map=numbers, max_bad=0.01)

    assert "map:39" not in told
    assert "that were read, more than max_bad=0.01 allows" in told


def test_a_hopeless_fraction_ends_the_job_within_a_map(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_text("x\n" * 50_000)
    seen = 0

    def count(e: str, params: Any) -> Any:
        nonlocal seen
        seen += 1
        raise ValueError(e)

    told = death(path, map=count, max_bad=0.01)

    assert 1000 <= seen < 10_000
    assert f"too many bad entries: {seen} of {seen} that were read, more than max_bad=0.01" in told


@pytest.mark.parametrize("value", [-1, 1.0, 2.5, True, "3", float("nan"), None])
def test_what_max_bad_does_not_take_is_refused_at_submit(value: Any) -> None:
    with pytest.raises(JobArgumentError, match=r"max_bad=.*: it takes a whole number of entries"):
        run("raw://x", map=numbers, max_bad=value)


def test_max_bad_is_for_maps() -> None:
    with pytest.raises(JobArgumentError, match="max_bad=3: this job has no map"):
        run("raw://x", reduce=func.nop_reduce, reduce_reader=func.netstr_reader, max_bad=3, nr_reduces=1)


# -- what is a bad entry


def raising(error: Exception) -> Callable[[str, Any], Any]:
    def map(e: str, params: Any) -> Any:
        raise error

    return map


@pytest.mark.parametrize("error", [ValueError("no"), RecursionError(), StopIteration(), AssertionError()])
def test_an_exception_of_the_map_speaks_of_its_entry(error: Exception) -> None:
    [entry] = bad(run("raw://x", map=raising(error)))
    assert entry.error.startswith(type(error).__name__)


@pytest.mark.parametrize(
    "error",
    [OSError("gone"), MemoryError("none"), TimeoutError("late"), RuntimeError("can't start new thread")],
)
def test_an_exception_that_speaks_of_the_node_does_not(error: Exception) -> None:
    assert "bad entries" not in death("raw://x", map=raising(error), max_failures=0)


def calls(e: str, params: Any) -> Any:
    if params == "err":
        err("by err")
    elif params == "data_err":
        data_err("by data_err")
    elif params == "put":
        put("no such key!", 1)
    return {"word": "ab", "number": 5, "dict": {"a": 1}, "not a pair": iter([(1, 2, 3)])}[params]


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("err", "JobFailure: by err"),
        ("data_err", "DataError: by data_err"),
        ("put", "OOBKeyInvalid: "),
        ("word", "map must return or yield (key, value) pairs, and gave the str 'ab'"),
        ("number", "map must return or yield (key, value) pairs, or return None: 'int' object is not iter"),
        ("dict", "and gave the dict"),
        ("not a pair", "and this is not a pair: (1, 2, 3)"),
    ],
)
def test_what_ends_a_job_is_no_bad_entry(what: str, told: str) -> None:
    assert told in death("raw://x", map=calls, params=what, max_failures=0)


def test_a_time_limit_is_no_bad_entry() -> None:
    def forever(e: str, params: Any) -> Any:
        while True:
            pass

    assert "TaskTimeout" in death("raw://x", map=forever, task_timeout=0.2)


def test_what_map_init_combiner_and_partition_raise_ends_the_job() -> None:
    def fails(*_: Any) -> Any:
        raise ValueError("not of an entry")

    def init(entries: Any, params: Any) -> None:
        fails()

    def partition(key: Any, nr_reduces: int, params: Any) -> int:
        return int(fails())

    def combine(key: Any, value: Any, buffer: Any, done: bool, params: Any) -> Any:
        return fails()

    for argument in ({"map_init": init}, {"combiner": combine}, {"partition": partition, "nr_reduces": 2}):
        assert "ValueError: not of an entry" in death("raw://1", map=numbers, **argument)


# -- skip_entry


def test_a_map_skips_its_entry_whatever_it_gives_before_and_after() -> None:
    def map(e: str, params: Any) -> Iterator[tuple[str, int]]:
        yield e, 1
        if e == "no":
            counter("skipped")
            skip_entry(e.upper(), "not wanted")
        yield e, 2

    job = run("raw://yes", "raw://no", map=map)

    assert pairs(job) == [("yes", 1), ("yes", 2)]
    assert job.counters == {}
    [entry] = bad(job)
    assert entry == BadEntry("map:1", "raw://no", 0, 1, "NO", "not wanted", "")


def test_a_reader_of_ones_own_skips_entries(lines: Path) -> None:
    def reader(fd: Any, size: int | None, fname: str) -> Iterator[str]:
        for line in func.map_line_reader(fd, size, fname):
            if line.isdigit():
                yield line
            else:
                skip_entry(line, "no number")

    job = run(lines, map=numbers, map_reader=reader)

    assert [(one.number, one.offset, one.entry, one.error) for one in bad(job)] == [
        (2, 0, "x", "no number"),
        (4, 0, "", "no number"),
        (5, 0, "y4", "no number"),
    ]
    assert job.counters == {"numbers": 3}


def test_a_reduce_may_skip_nothing() -> None:
    def reduce(pairs: Any, params: Any) -> Iterator[Any]:
        skip_entry("x", "in vain")
        yield from pairs

    assert "BadEntryError: in vain: 'x'" in death("raw://1", map=numbers, reduce=reduce)


# -- readers


def test_json_lines_hand_over_what_is_no_json(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b'{"n": 1}\n{"n"\n\n{"n": "x"}\n\xff\n{"n": 2}\n')

    job = run(path, map=lambda row, _: [(int(row["n"]), 1)], map_reader=func.jsonl_reader())

    assert pairs(job) == [(1, 1), (2, 1)]
    found = [(one.offset, one.number, one.entry, one.error.partition(":")[0]) for one in bad(job)]
    assert found == [
        (9, 2, '{"n"', "no JSON"),
        (15, 3, {"n": "x"}, "ValueError"),
        (26, 4, "\udcff", "no JSON"),
    ]


def test_csv_hands_over_records_with_other_columns(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('n,text\n1,"a\nb"\n2\n\nx,c\n4,d\n')

    job = run(path, map=lambda row, _: [(int(row["n"]), row["text"])], map_reader=func.csv_reader())

    assert pairs(job) == [(1, "a\nb"), (4, "d")]
    assert [(one.offset, one.number, one.entry) for one in bad(job)] == [
        (15, 2, "2"),
        (18, 3, {"n": "x", "text": "c"}),
    ]


def test_a_map_init_that_reads_the_header_in_every_piece_counts_nothing_twice(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text('no\n"header"\n' + "1\n" * 50 + "no more\n")

    def init(entries: Iterator[Any], params: Any) -> None:
        assert next(entries) == "header"

    job = run(path, map=lambda n, _: [(n, 1)], map_init=init, map_reader=func.jsonl_reader(), split_size=30)

    assert len(pairs(job)) == 50
    assert [(one.offset, one.entry) for one in bad(job)] == [(0, "no"), (112, "no more")]


def test_of_a_batch_the_rows_that_are_skipped_are_bad(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("n\n" + "".join(f"{'x' if i % 100 == 0 else i}\n" for i in range(1, 1001)) + "a,b\n")

    def map(batch: Any, params: Any) -> Iterator[tuple[int, int]]:
        for row in batch.to_pylist():
            if row["n"] == "x":
                skip_entry(row, "no number")
            else:
                yield int(row["n"]), 1

    assert len(pairs(job := run(path, map=map, map_reader=func.csv_batches(), max_bad=0.011))) == 990
    assert len(bad(job)) == 11
    raising = {"map": lambda batch, _: 1 / 0, "map_reader": func.csv_batches()}
    assert len(bad(run(path, **raising, max_bad=3))) == 2  # the row that is none, and the batch
    assert "a batch is many rows" in death(path, **raising, max_bad=0.5)
    assert "too many bad entries: 11 of 1001" in death(
        path, map=map, map_reader=func.csv_batches(), max_bad=0.01
    )


# -- external programs


def test_a_program_refuses_a_pair_with_a_reason(tmp_path: Path) -> None:
    body = REFUSE + "while (kv := pair()): refuse(b'no digit: ' + kv[1]) if kv[1].isalpha() else write(kv)\n"
    program = python_program(tmp_path / "p", body, text=True)
    path = tmp_path / "lines"
    path.write_text("".join(f"{i}\n" if i % 7 else "x\n" for i in range(5000)))

    job = run(path, map=program, max_bad=1000)

    assert len(pairs(job)) == 4285
    found = bad(job)
    assert [one.number for one in found] == list(range(1, 5001, 7))
    data = path.read_bytes()
    assert all(data[one.offset : one.offset + 2] == b"x\n" for one in found)
    assert {(one.entry, one.error) for one in found} == {("x", "no digit: x")}
    assert "BadEntryError: " in death(path, map=program, max_bad=0)


def test_a_program_that_dies_is_no_bad_entry(tmp_path: Path) -> None:
    program = python_program(tmp_path / "p", "pair()\nsys.exit(3)\n")
    assert "ProgramError: " in death("raw://x", map=program)


# -- what is kept of an entry


class Odd:
    def __repr__(self) -> str:
        return "odd " * 20_000


@pytest.mark.parametrize(
    ("entry", "kept"),
    [
        ("é" * 40_000, "é" * (32 * KIB)),
        (b"\xff" * 70_000, b"\xff" * (64 * KIB)),
        (("a", [1, None], {"b": 2.5}), ("a", [1, None], {"b": 2.5})),
        (["x" * 70_000], ("['" + "x" * 70_000)[: 64 * KIB]),
        (Odd(), ("odd " * 20_000)[: 64 * KIB]),
        (io.SEEK_SET, 0),
    ],
    ids=["text", "bytes", "data", "large data", "object", "number"],
)
def test_an_entry_is_kept_as_it_is_up_to_64_kib(entry: Any, kept: Any) -> None:
    job = run("raw://x", map=lambda e, _: skip_entry(entry, "why"))
    assert bad(job)[0].entry == kept


# -- much of it


def test_a_bad_entry_that_gives_a_million_pairs_stays_within_memory() -> None:
    def many(e: str, params: Any) -> Iterator[tuple[int, str]]:
        yield from ((i, f"{i:04000}") for i in range(8000))
        if e == "bad":
            raise ValueError("at last")

    tracemalloc.start()
    job = run("raw://good", "raw://bad", map=many, mem_sort_limit=8 << 20, sort=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 16 << 20
    assert [key for key, _ in result_iterator(job.wait())] == list(range(8000))
    assert len(bad(job)) == 1


def test_one_object_that_is_filled_again_and_again_gives_what_it_held_each_time() -> None:
    def map(e: str, params: Any) -> Iterator[tuple[list[int], dict[str, int]]]:
        key, value = [0], {"n": 0}
        for i in range(3):
            key[0] = value["n"] = i
            yield key, value

    assert pairs(run("raw://x", map=map)) == [([i], {"n": i}) for i in range(3)]


def test_results_are_the_same_with_max_bad_as_without(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("".join(f"a b c {i % 13} {'w ' * (i % 40)}\n" for i in range(2000)))

    def words(e: str, params: Any) -> Iterator[tuple[str, int]]:
        yield from ((word, 1) for word in e.split())

    for combiner in (None, func.sum_combiner):
        job = {"map": words, "combiner": combiner, "reduce": func.sum_reduce, "sort": True}
        assert pairs(run(path, **job)) == pairs(run(path, **job, max_bad=0))
