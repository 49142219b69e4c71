"""Every way in which a task fails: what happens next, and what its author reads."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from disco_rq import DataError, Disco, Job
from disco_rq.model import TaskId
from disco_rq.runtime import data_err, err, this_partition
from tests.cluster.small_jobs import death, pairs, run, wait_for_death


def next_attempt(directory: str) -> int:
    """Which attempt asks, from 1: each leaves a file."""
    number = len(list(Path(directory).iterdir())) + 1
    open(f"{directory}/{number}", "x").close()
    return number


def outcomes(job: Job) -> list[str]:
    """How the attempts of the first map ended, in order."""
    attempts = job._store.attempts(job.name)
    return [attempts[one]["outcome"] for one in sorted(attempts) if one[0] == TaskId("map", 0)]


def pass_on(iter: Iterator[Any], params: Any) -> Iterator[Any]:
    yield from iter


def frames(text: str) -> list[str]:
    """The functions in a traceback."""
    return re.findall(r'File ".*", line \d+, in (\S+)', text)


# -- err


def test_err_ends_the_job_with_its_message_and_without_a_retry(disco: Disco) -> None:
    job = disco.new_job("errs", ["raw://1"], map=lambda e, params: err("the disk is on fire"), task_retries=5)
    text = wait_for_death(job)

    assert text.splitlines()[0].startswith(f"job {job.name} is dead: map:0, attempt 1 on localhost: ")
    assert "JobFailure: the disk is on fire" in text.splitlines()[0]
    assert job.jobinfo()["cause"]["message"].startswith("JobFailure: the disk is on fire")
    assert outcomes(job) == ["fatal"]


def test_err_in_a_reduce_names_the_reduce(disco: Disco) -> None:
    def reduce(iter: Iterator[Any], params: Any) -> None:
        err(f"enough in {this_partition()}")

    text = death(disco, map=lambda e, params: [(e, 1)], reduce=reduce)

    assert "reduce:0, attempt 1 on localhost: JobFailure: enough in 0" in text.splitlines()[0]


def test_a_cause_may_be_any_text_and_stays_one_line(disco: Disco) -> None:
    text = death(disco, map=lambda e, params: err("zwei\nZeilen\r\nключ \udce9 \0 " + "é" * 1000))

    assert "JobFailure: zwei Zeilen ключ \\udce9" in re.sub(r"\s+", " ", text.split("\n")[0])


def test_a_cause_of_megabytes_is_cut(disco: Disco) -> None:
    text = death(disco, map=lambda e, params: err("begin " + "x" * 3_000_000))

    assert "JobFailure: begin xxx" in text
    assert len(text) < 100_000


def test_a_job_that_is_dead_stops_its_other_tasks(disco: Disco, tmp_path: Path) -> None:
    # given a task that would run for ever, and one that ends the job
    started = str(tmp_path / "started")

    def map(e: str, params: Any) -> None:
        if e == "endless":
            open(started, "x").close()
            while True:
                time.sleep(0.01)
        while not Path(started).exists():
            time.sleep(0.002)
        err("enough")

    text = death(disco, input=["raw://endless", "raw://errs"], map=map)

    # then the workers are free for others
    assert "map:1" in text.splitlines()[0]
    assert pairs(run(disco, input=["raw://a", "raw://b"], map=lambda e, params: [(e, 1)])) == [
        ("a", 1),
        ("b", 1),
    ]


# -- data_err and what is like it


@pytest.mark.parametrize("how", ["data_err", "DataError", "OSError", "ConnectionError", "FileNotFoundError"])
def test_a_data_error_is_run_again_and_succeeds(disco: Disco, tmp_path: Path, how: str) -> None:
    directory = str(tmp_path)

    def map(e: str, params: Any) -> list[tuple[str, int]]:
        number = next_attempt(directory)
        if number == 1:
            if how == "data_err":
                data_err("not now", "http://example.org/a")
            if how == "DataError":
                raise DataError("not now")
            if how == "OSError":
                raise OSError(5, "not now")
            if how == "FileNotFoundError":
                open("/no/such/file").close()
            raise ConnectionError("not now")
        return [("attempt", number)]

    job = run(disco, map=map)

    assert pairs(job) == [("attempt", 2)]
    assert outcomes(job) == ["data", "done"]
    assert job.jobinfo()["mapi"] == [0, 0, 1, 1]
    assert any("attempt 1 on localhost" in message for _, (_, _, message) in job.events())


def test_after_max_failures_the_job_is_dead_with_the_causes_of_all_attempts(
    disco: Disco, tmp_path: Path
) -> None:
    directory = str(tmp_path)

    def map(e: str, params: Any) -> None:
        data_err(f"broken {next_attempt(directory)} times", "http://example.org/broken")

    job = disco.new_job("broken", ["raw://1"], map=map, max_failures=2)
    text = wait_for_death(job)

    first, *others = text.splitlines()
    assert "map:0, attempt 3 on localhost: DataError: broken 3 times (http://example.org/broken)" in first
    assert "attempt 1 on localhost: DataError: broken 1 times" in others[0]
    assert "attempt 2 on localhost: DataError: broken 2 times" in others[1]
    assert outcomes(job) == ["data", "data", "data"]
    assert len(list(Path(directory).iterdir())) == 3


def test_a_task_survives_three_failures_unless_the_job_says_otherwise(disco: Disco, tmp_path: Path) -> None:
    directory = str(tmp_path)

    def map(e: str, params: Any) -> list[tuple[str, int]]:
        number = next_attempt(directory)
        if number <= 3:
            data_err("not yet")
        return [("attempt", number)]

    assert pairs(run(disco, map=map)) == [("attempt", 4)]


def test_long_causes_in_any_script_are_told_of_every_attempt(disco: Disco) -> None:
    text = death(disco, map=lambda e, params: data_err("x" + "é" * 2000), max_failures=1)

    first, second, *_ = text.splitlines()
    assert "xééé" in first
    assert "attempt 1 on localhost: DataError: xééé" in second


def test_with_max_failures_0_the_first_data_error_ends_the_job(disco: Disco) -> None:
    text = death(disco, map=lambda e, params: data_err("once is enough"), max_failures=0)

    assert "attempt 1 on localhost: DataError: once is enough" in text.splitlines()[0]


def test_a_data_error_in_a_reduce_is_run_again(disco: Disco, tmp_path: Path) -> None:
    directory = str(tmp_path)

    def reduce(iter: Iterator[Any], params: Any) -> Iterator[tuple[Any, Any]]:
        number = next_attempt(directory)
        for key, value in iter:
            yield key, (value, number)
            if number == 1:
                data_err("in the middle")

    job = run(disco, map=lambda e, params: [(1, "a"), (2, "b")], reduce=reduce)

    assert pairs(job) == [(1, ("a", 2)), (2, ("b", 2))]


# -- other exceptions


def innermost(line: str) -> float:
    return 1 / int(line)


def divides(line: str, params: Any) -> list[tuple[str, float]]:
    return [(line, innermost(line))]


def test_an_exception_ends_the_job_at_once_with_the_users_frames_only(disco: Disco, tmp_path: Path) -> None:
    path = tmp_path / "numbers.txt"
    path.write_text("1\n2\n0\n4\n")

    job = disco.new_job("divides", [str(path)], map=divides)
    text = wait_for_death(job)

    first = text.splitlines()[0]
    assert "map:0, attempt 1 on localhost: ZeroDivisionError: division by zero" in first
    assert f"in entry 3 of {path}" in first
    assert frames(text) == ["divides", "innermost"]
    assert "return 1 / int(line)" in text
    assert outcomes(job) == ["error"]


def test_an_exception_in_a_reduce_names_the_key(disco: Disco) -> None:
    from disco_rq.func import kvgroup

    def reduce(iter: Iterator[Any], params: Any) -> Iterator[Any]:
        for key, _ in kvgroup(iter):
            yield key, 1 / key

    text = death(disco, map=lambda e, params: [(2, 1), (0, 1)], reduce=reduce, sort=True)

    assert "reduce:0, attempt 1 on localhost: ZeroDivisionError" in text.splitlines()[0]
    assert "key 0" in text.splitlines()[0]
    assert frames(text) == ["reduce"]


def test_chained_exceptions_show_the_users_frames_of_both(disco: Disco) -> None:
    def map(e: str, params: Any) -> None:
        try:
            innermost("0")
        except ZeroDivisionError as error:
            raise ValueError("cannot divide") from error

    text = death(disco, map=map)

    assert "ValueError: cannot divide" in text.splitlines()[0]
    assert frames(text) == ["map", "innermost", "map"]


def test_frames_of_libraries_that_the_user_called_stay(disco: Disco) -> None:
    import json

    text = death(disco, map=lambda e, params: json.loads("{"))

    assert "JSONDecodeError" in text.splitlines()[0]
    assert frames(text)[:2] == ["<lambda>", "loads"]


def test_an_exception_whose_text_cannot_be_made_is_told_all_the_same(disco: Disco) -> None:
    class UnspeakableError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    def map(e: str, params: Any) -> None:
        raise UnspeakableError

    assert "UnspeakableError" in death(disco, map=map).splitlines()[0]


@pytest.mark.parametrize("code", [0, 3, "a last word", None])
def test_sys_exit_in_a_map_is_an_error_like_any_other(disco: Disco, code: Any) -> None:
    text = death(disco, map=lambda e, params: sys.exit(code))

    assert "map:0, attempt 1 on localhost: SystemExit" in text.splitlines()[0]
    assert code in (None, 0) or str(code) in text.splitlines()[0]


@pytest.mark.parametrize("error", [KeyboardInterrupt, GeneratorExit, StopAsyncIteration, RecursionError])
def test_errors_that_mean_something_to_python_end_the_job_too(
    disco: Disco, error: type[BaseException]
) -> None:
    def map(e: str, params: Any) -> None:
        raise error

    assert error.__name__ in death(disco, map=map).splitlines()[0]


@pytest.mark.parametrize("bad", ["0", "3", "9"], ids=["first entry", "in the middle", "last entry"])
@pytest.mark.parametrize("status_interval", [0, 2, 5], ids=lambda n: f"event each {n}")
def test_stop_iteration_in_a_map_is_an_error_and_never_the_end_of_the_input(
    disco: Disco, tmp_path: Path, bad: str, status_interval: int
) -> None:
    path = tmp_path / "numbers.txt"
    path.write_text("".join(f"{i}\n" for i in range(10)))

    def map(e: str, params: Any) -> list[tuple[str, int]]:
        return [(e, next(iter([] if e == bad else [1])))]

    text = death(disco, input=[str(path)], map=map, status_interval=status_interval)

    assert "StopIteration" in text.splitlines()[0]
    assert f"in entry {int(bad) + 1} of {path}" in text.splitlines()[0]


def test_stop_iteration_in_a_reduce_is_an_error(disco: Disco) -> None:
    def reduce(iter: Iterator[Any], out: Any, params: Any) -> None:
        for _ in range(3):
            out.add(*next(iter))

    assert "StopIteration" in death(disco, map=lambda e, params: [(e, 1)], reduce=reduce).splitlines()[0]


def test_running_out_of_memory_is_told_as_such(disco: Disco) -> None:
    text = death(disco, map=lambda e, params: [(e, bytearray(1 << 60))])

    assert "MemoryError" in text.splitlines()[0]
    assert "in entry 1 of raw://entry" in text.splitlines()[0]


def test_task_retries_run_other_exceptions_again(disco: Disco, tmp_path: Path) -> None:
    directory = str(tmp_path)

    def map(e: str, params: Any) -> list[tuple[str, int]]:
        number = next_attempt(directory)
        if number <= 2:
            raise ValueError(f"attempt {number}")
        return [("attempt", number)]

    job = run(disco, map=map, task_retries=2)

    assert pairs(job) == [("attempt", 3)]
    assert outcomes(job) == ["error", "error", "done"]


def test_when_task_retries_are_used_up_the_causes_of_all_attempts_are_told(
    disco: Disco, tmp_path: Path
) -> None:
    directory = str(tmp_path)

    def map(e: str, params: Any) -> None:
        raise ValueError(f"in attempt {next_attempt(directory)}")

    first, second, *_ = death(disco, map=map, task_retries=1).splitlines()

    assert "attempt 2 on localhost: ValueError: in attempt 2" in first
    assert "attempt 1 on localhost: ValueError: in attempt 1" in second


# -- time


def test_a_task_that_runs_too_long_ends_the_job_and_says_where_it_was(disco: Disco) -> None:
    def map(e: str, params: Any) -> None:
        while True:
            time.sleep(0.01)

    text = death(disco, map=map, task_timeout=0.2)

    assert "TaskTimeout" in text.splitlines()[0]
    assert "task_timeout of 0.2 s" in text.splitlines()[0]
    assert frames(text) == ["map"]


def test_a_task_that_is_quick_enough_knows_nothing_of_its_timeout(disco: Disco) -> None:
    assert pairs(run(disco, map=lambda e, params: [(e, 1)], task_timeout=20)) == [("entry", 1)]


# -- the process of a task dies


def test_a_killed_horse_is_told_with_its_signal_and_peak_memory(disco: Disco) -> None:
    job = disco.new_job("killed", ["raw://1"], map=lambda e, params: os.kill(os.getpid(), 9), max_failures=0)
    text = wait_for_death(job)

    assert re.search(r"map:0, attempt 1 on localhost: .*killed by SIGKILL, peak memory \d+ MB", text)
    assert outcomes(job) == ["data"]


def test_the_peak_memory_is_that_of_the_task(disco: Disco) -> None:
    def map(e: str, params: Any) -> None:
        block = b"x" * (200 << 20)
        os.kill(os.getpid(), len(block) and 9)

    text = death(disco, map=map, max_failures=0)

    found = re.search(r"peak memory (\d+) MB", text)
    assert found is not None
    assert 200 <= int(found[1]) < 400


def test_a_horse_that_exits_is_told_with_its_status(disco: Disco) -> None:
    text = death(disco, map=lambda e, params: os._exit(7), max_failures=0)

    assert "exited with status 7" in text.splitlines()[0]


def test_a_killed_horse_is_run_again_like_a_data_error(disco: Disco, tmp_path: Path) -> None:
    directory = str(tmp_path)

    def map(e: str, params: Any) -> list[tuple[str, int]]:
        number = next_attempt(directory)
        if number == 1:
            os.kill(os.getpid(), 11)
        return [("attempt", number)]

    job = run(disco, map=map)

    assert pairs(job) == [("attempt", 2)]
    assert any("killed by SIGSEGV" in message for _, (_, _, message) in job.events())


# -- what a map gives


def test_a_key_of_a_type_that_records_do_not_hold_is_named(disco: Disco) -> None:
    class Point:
        pass

    text = death(disco, map=lambda e, params: [(Point(), 1)])

    assert "RecordTypeError" in text.splitlines()[0]
    assert "Point" in text.splitlines()[0]
    assert frames(text) == []


@pytest.mark.parametrize("answer", [2, -1, "0", None, 0.0])
def test_a_wrong_answer_of_the_partition_function_names_key_and_answer(disco: Disco, answer: Any) -> None:
    text = death(
        disco,
        map=lambda e, params: [("the-key", 1)],
        reduce=pass_on,
        nr_reduces=2,
        partition=lambda key, nr_reduces, params: answer,
    )

    assert "PartitionError" in text.splitlines()[0]
    assert "'the-key'" in text.splitlines()[0]
    assert f"answered {answer!r}" in text.splitlines()[0]


@pytest.mark.parametrize("garbage", [5, [5], "ab", ["ab", 1], [("a", 1, 2)], [("a",)], [None], True])
def test_a_map_that_gives_no_pairs_ends_the_job_and_says_what_it_gave(disco: Disco, garbage: Any) -> None:
    text = death(disco, map=lambda e, params: garbage)

    assert "pair" in text.splitlines()[0]
    assert frames(text) == []


def test_a_reduce_that_gives_no_pairs_ends_the_job_and_says_what_it_gave(disco: Disco) -> None:
    def reduce(iter: Iterator[Any], params: Any) -> Iterator[Any]:
        yield 5

    text = death(disco, map=lambda e, params: [(e, 1)], reduce=reduce)

    assert "reduce:0" in text.splitlines()[0]
    assert "not a pair: 5" in text.splitlines()[0]
