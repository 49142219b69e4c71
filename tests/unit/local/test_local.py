"""``local.run``: a job in this process, with real splits and partitions, and with nothing left behind."""

from __future__ import annotations

import bdb
import builtins
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from disco_rq import DataError, DiscoError, JobArgumentError, JobError, result_iterator, runtime
from disco_rq.errors import (
    JobFailure,
    NotInTask,
    OOBKeyExists,
    OOBNotFound,
    OOBNotReadable,
    OOBQuotaExceeded,
    TaskTimeout,
    Unshippable,
)
from disco_rq.func import chain_reader, nop_reduce
from disco_rq.local import runner as local
from tests.external import ECHO, python_program

seen: list[Any] = []


@pytest.fixture(autouse=True)
def nothing_seen() -> Iterator[None]:
    seen.clear()
    yield
    assert "this_partition" not in vars(builtins)


def remember(e: str, params: Any) -> list[tuple[str, int]]:
    seen.append((e, this_partition(), os.getpid(), threading.current_thread().name))  # type: ignore[name-defined]  # noqa: F821
    return [(e, 1)]


def pairs(job: local.LocalJob) -> list[Any]:
    return list(result_iterator(job.wait()))


def dead(**arguments: Any) -> JobError:
    with pytest.raises(JobError) as caught:
        local.run("job", arguments.pop("input", ["raw://a"]), **arguments)
    return caught.value


@pytest.fixture
def lines(tmp_path: Path) -> str:
    (tmp_path / "lines").write_text("".join(f"line {i}\n" for i in range(10)))
    return str(tmp_path / "lines")


def test_the_functions_themselves_run_in_this_process(lines: str) -> None:
    job = local.run("job", [lines], map=remember)

    assert sorted(pairs(job)) == [(f"line {i}", 1) for i in range(10)]
    assert {(pid, thread) for _, _, pid, thread in seen} == {(os.getpid(), threading.current_thread().name)}


def test_a_single_file_is_two_maps_and_there_are_two_reduces(lines: str) -> None:
    job = local.run("job", [lines], map=remember, reduce=nop_reduce, sort=True)

    assert {number for _, number, _, _ in seen} == {0, 1}
    first, second = job.wait()
    assert (first.rpartition("/")[2], second.rpartition("/")[2]) == ("reduce-0.1", "reduce-1.1")
    assert len(pairs(job)) == 10


def test_what_the_user_says_of_splits_and_reduces_counts(lines: str) -> None:
    job = local.run("job", [lines], map=remember, reduce=nop_reduce, split_size=None, nr_reduces=1)

    assert {number for _, number, _, _ in seen} == {0}
    assert len(job.wait()) == 1


def test_a_breakpoint_stops_in_a_job_function() -> None:
    program = (
        "from disco_rq import local\n"
        "def map(e, params):\n"
        "    breakpoint()\n"
        "    return [(e, 1)]\n"
        "local.run('job', ['raw://a', 'raw://b'], map=map)\n"
        "print('the end')\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program],
        input="p 'at ' + e\np this_partition()\ncontinue\np 'at ' + e\ncontinue\n",
        capture_output=True,
        text=True,
    )

    assert re.findall(r"'at \w'|^\(Pdb\) \d|the end", done.stdout, re.MULTILINE) == [
        "'at a'",
        "(Pdb) 0",
        "'at b'",
        "the end",
    ]


def test_the_debugger_and_control_c_end_it_as_they_are(tmp_path: Path) -> None:
    for error in (bdb.BdbQuit, KeyboardInterrupt):

        def map(e: str, params: Any, error: Any = error) -> list[Any]:
            raise error

        with pytest.raises(error):
            local.run("job", ["raw://a"], map=map)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [({"nr_reducers": 1, "map": remember}, "nr_reducers"), ({}, "neither"), ({"map": 5}, "map=5")],
)
def test_wrong_use_is_refused_as_on_a_cluster(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(JobArgumentError, match=told):
        local.run("job", ["raw://a"], **arguments)


def test_what_cannot_be_shipped_is_refused_too() -> None:
    lock = threading.Lock()

    with pytest.raises(Unshippable, match=r"map.*lock"):
        local.run("job", ["raw://a"], map=lambda e, params: [(e, lock)])


def test_each_task_has_its_own_params() -> None:
    params = {"count": 0}

    def map(e: str, params: Any) -> list[Any]:
        params["count"] += 1
        return [(e, params["count"])]

    assert pairs(local.run("job", ["raw://a", "raw://b"], map=map, params=params)) == [("a", 1), ("b", 1)]
    assert params == {"count": 0}


def test_each_task_has_a_directory_of_its_own_and_the_process_finds_its_own_again(tmp_path: Path) -> None:
    (tmp_path / "stop.txt").write_text("the")
    (tmp_path / "tool.py").write_text("def shout(text):\n    return text.upper()\n")

    def map(e: str, params: Any) -> list[Any]:
        import tool  # type: ignore[import-not-found]

        assert "LEFT_BEHIND" not in os.environ
        os.environ["LEFT_BEHIND"] = "here"
        before = sorted(path.name for path in Path().iterdir())
        Path("of-the-first-task").touch()
        return [(tool.shout(e), [before, Path("stop.txt").read_text(), str(Path.cwd())])]

    surroundings = Path.cwd(), dict(os.environ), list(sys.path)
    files = [tmp_path / "stop.txt", tmp_path / "tool.py"]
    first, second = pairs(local.run("job", ["raw://a", "raw://b"], map=map, required_files=files))

    assert first == ("A", [["stop.txt", "tool.py"], "the", second[1][2]])
    assert second[:1] + tuple(second[1][:2]) == ("B", ["stop.txt", "tool.py"], "the")
    assert (Path.cwd(), dict(os.environ), list(sys.path)) == surroundings
    assert "tool" not in sys.modules
    assert not Path(second[1][2]).exists()


def test_a_profile_is_kept_where_it_is_asked_for() -> None:
    def map(e: str, params: Any) -> list[Any]:
        return [(sum(range(10)), e)]

    job = local.run("job", ["raw://a", "raw://b"], map=map, profile=True)

    calls = {name: entry[0] for (_, _, name), entry in job.profile_stats("map").stats.items()}  # type: ignore[attr-defined]
    assert calls["map"] == 2
    with pytest.raises(JobError, match=r"No profile data: job .* has none of a reduce"):
        job.profile_stats("reduce")


def test_an_external_program_runs_here_too(tmp_path: Path) -> None:
    program = python_program(
        tmp_path / "program.py", ECHO + "sys.stderr.write('**<MSG> done\\n')\n", text=True
    )

    job = local.run("job", ["raw://a"], map=program)

    assert pairs(job) == [("", "a")]
    assert job.messages == ["done"]


def test_an_empty_input_is_ready_without_results() -> None:
    job = local.run("job", [], map=remember, reduce=nop_reduce)

    assert job.results() == ("ready", [])
    assert "Job is ready: its input was empty" in [message for _, (_, _, message) in job.events()]


# -- failures


def test_an_exception_ends_the_job_with_the_traceback_and_is_its_cause() -> None:
    def map(e: str, params: Any) -> list[Any]:
        if e == "b":
            raise KeyError("nothing there")
        return []

    files = local._here.data.jobs()
    error = dead(input=["raw://a", "raw://b"], map=map)

    text = "is dead: map:1, attempt 1 on localhost: KeyError: 'nothing there' (in entry 1 of raw://b)"
    assert text in str(error)
    assert 'raise KeyError("nothing there")' in str(error)
    assert isinstance(error.__cause__, KeyError)
    assert local._here.data.jobs() == files  # a dead job leaves none


@pytest.mark.parametrize("failing", [DataError("torn"), ConnectionResetError("reset")])
def test_bad_data_is_tried_again_up_to_max_failures(failing: Exception) -> None:
    def map(e: str, params: Any) -> list[Any]:
        seen.append(e)
        if len(seen) <= 3:
            raise failing
        return [(e, len(seen))]

    assert pairs(local.run("job", ["raw://a"], map=map)) == [("a", 4)]
    seen.clear()
    text = str(dead(map=map, max_failures=2))

    assert len(seen) == 3
    assert "attempt 3 on localhost" in text
    assert "before, attempt 2 on localhost" in text


def test_other_errors_are_tried_again_as_often_as_task_retries_says() -> None:
    def reduce(iter: Any, params: Any) -> Iterator[Any]:
        seen.append(1)
        if len(seen) <= 2:
            raise ValueError("not yet")
        yield from iter

    job = local.run(
        "job", ["raw://a"], map=lambda e, p: [(e, 1)], reduce=reduce, nr_reduces=1, task_retries=2
    )
    assert pairs(job) == [("a", 1)]


def test_err_is_not_tried_again() -> None:
    def map(e: str, params: Any) -> None:
        seen.append(e)
        runtime.err("enough")

    error = dead(map=map, task_retries=5)

    assert isinstance(error.__cause__, JobFailure)
    assert seen == ["a"]


def test_the_next_replica_is_read(tmp_path: Path) -> None:
    (tmp_path / "good").write_text("good\n")

    job = local.run("job", [[str(tmp_path / "missing"), str(tmp_path / "good")]], map=remember)

    assert pairs(job) == [("good", 1)]


def test_a_task_that_hangs_is_ended_by_its_time_limit() -> None:
    def map(e: str, params: Any) -> None:
        threading.Event().wait(60)

    assert isinstance(dead(map=map, task_timeout=0.2).__cause__, TaskTimeout)


# -- the runtime API


def test_oob_results_keep_their_rules() -> None:
    def outcome(action: Any) -> str:
        try:
            action()
        except DiscoError as error:
            return type(error).__name__
        return "ok"

    def map(e: str, params: Any) -> list[Any]:
        runtime.put(e, {"of": e})
        found = [outcome(lambda: runtime.put(e, 1)), outcome(lambda: runtime.get(e))]
        if e == "b":
            found.append(outcome(lambda: runtime.put("a", 1)))
        return [(e, found)]

    def reduce(iter: Any, params: Any) -> Iterator[Any]:
        runtime.put(f"reduce{runtime.this_partition()}", b"\xff")
        yield from iter
        missing = [outcome(lambda: runtime.get("reduce0")), outcome(lambda: runtime.get("no"))]
        yield "got", [runtime.get("a"), *missing]

    job = local.run("job", ["raw://a", "raw://b"], map=map, reduce=reduce, nr_reduces=2, sort=True)

    exists, unreadable, missing = OOBKeyExists.__name__, OOBNotReadable.__name__, OOBNotFound.__name__
    got = ("got", [{"of": "a"}, missing, missing])
    answers = [("a", [exists, unreadable]), ("b", [exists, unreadable, exists]), got, got]
    assert sorted(pairs(job), key=repr) == answers
    assert job.oob_list() == ["a", "b", "reduce0", "reduce1"]
    assert job.oob_get("reduce0") == b"\xff"
    with pytest.raises(OOBNotFound, match="no OOB result 'no'"):
        job.oob_get("no")


def test_a_task_may_put_a_thousand_results() -> None:
    def map(e: str, params: Any) -> None:
        for number in range(1001):
            runtime.put(f"key:{number}", number)

    assert isinstance(dead(map=map).__cause__, OOBQuotaExceeded)


def test_the_oob_results_of_an_earlier_job_can_be_read() -> None:
    earlier = local.run("earlier", ["raw://a"], map=lambda e, params: runtime.put("key", (e + "!")))

    def map(e: str, params: Any) -> list[Any]:
        return [(runtime.get("key", job=params), 1)]

    assert pairs(local.run("later", ["raw://a"], map=map, params=earlier.name)) == [("a!", 1)]
    assert isinstance(dead(map=map, params="job@20260101-000000-aaaa").__cause__, OOBNotFound)


def test_messages_are_limited_and_counters_are_summed() -> None:
    def map(e: str, params: Any) -> None:
        for number in range(100):
            runtime.msg(f"message {number}")
            runtime.counter("said")

    job = local.run("job", ["raw://a"], map=map)

    assert job.messages[:2] == ["message 0", "message 1"]
    assert 10 <= len(job.messages) <= 30  # a second may turn meanwhile
    assert job.msgs_dropped == 100 - len(job.messages)
    assert job.counters == {"said": 100}
    assert "MessageQuotaExceeded" in str(dead(map=map, msg_overflow="fail"))


def test_events_can_be_resumed() -> None:
    job = local.run("job", ["raw://a"], map=remember)

    events = list(job.events())

    assert [message for _, (_, _, message) in events] == [
        "Job submitted: 1 maps, 0 reduces",
        "Map phase done",
        "Job is ready",
    ]
    assert list(job.events(events[0][0])) == events[1:]


def test_a_job_function_cannot_run_another_job() -> None:
    def map(e: str, params: Any) -> None:
        local.run("inner", ["raw://a"], map=remember)

    assert "cannot be called in a job function" in str(dead(map=map))


def test_two_threads_run_their_jobs_one_after_the_other() -> None:
    both = threading.Barrier(2, timeout=20)
    answers: dict[str, list[Any]] = {}

    def map(e: str, params: Any) -> list[tuple[str, str]]:
        return [(runtime.this_name().partition("@")[0], e)]

    def use(name: str) -> None:
        both.wait()
        for number in range(20):
            answers.setdefault(name, []).extend(pairs(local.run(name, [f"raw://{number}"], map=map)))

    threads = [threading.Thread(target=use, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == {name: [(name, str(number)) for number in range(20)] for name in ("a", "b")}


def test_outside_a_task_the_names_are_as_before() -> None:
    dead(map=lambda e, params: 1 / 0)

    with pytest.raises(NotInTask):
        runtime.put("key", 1)
    assert "put" not in vars(builtins)


# -- files


def test_results_are_the_input_of_the_next_job_until_they_are_purged() -> None:
    first = local.run("first", ["raw://a", "raw://b"], map=remember)
    second = local.run("second", first.wait(), map_reader=chain_reader, map=lambda e, params: [e])

    assert pairs(second) == [("a", 1), ("b", 1)]
    first.purge()
    first.purge()
    with pytest.raises(DataError, match="the result is gone"):
        pairs(first)
    assert pairs(second) == [("a", 1), ("b", 1)]


def test_nothing_is_left_when_the_process_ends(tmp_path: Path) -> None:
    program = (
        "from disco_rq import local, result_iterator\n"
        "def map(e, params):\n"
        "    if params == 1: raise SystemExit(3)\n"
        "    return [(e, this_partition())]\n"
        "job = local.run('job', ['raw://a', 'raw://b'], map=map)\n"
        "print(list(result_iterator(job.wait())))\n"
        "try: local.run('job', ['raw://a'], map=map, params=1)\n"
        "except Exception as error: print(type(error).__name__)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )

    assert done.stdout.splitlines() == ["[('a', 0), ('b', 1)]", "JobError"], done.stderr
    assert list(tmp_path.iterdir()) == []
