"""Where a program is run, and what is shown of what its tasks print."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from disco_rq import Disco
from disco_rq.client.embedded import EmbeddedCluster
from tests.cluster.conftest import wait_until
from tests.cluster.user import User

PROGRAM = """
import os

nr_reduces = 1

def map(line, params):
    print("got", line)
    os.system("echo child")
    counter("lines")
    put(f"key:{line}", 1)
    msg(f"hello {line}")
    if line == "bad":
        raise ValueError("it is bad")
    yield line, os.getpid()

def reduce(pairs, params):
    print("\\x1b[31mreduces")
    yield from pairs
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    with EmbeddedCluster(2) as running:
        yield running.url


@pytest.fixture
def user(cluster: str, tmp_path: Path) -> User:
    (tmp_path / "job.py").write_text(PROGRAM)
    return User(tmp_path, cluster)


@pytest.fixture
def loner(tmp_path: Path) -> User:
    (tmp_path / "job.py").write_text(PROGRAM)
    return User(tmp_path)


def test_run_local_runs_in_the_process_itself_whatever_cluster_there_is(user: User) -> None:
    before = user.types("jobs").out

    seen = user.types("run", "job.py", "raw://a", "raw://b", "--local")

    assert sorted(line.split("\t")[0] for line in seen.lines) == ["a", "b"]
    assert len({line.split("\t")[1] for line in seen.lines}) == 1  # one process
    for told in ("got a", "child", "hello b", "lines 2", "key:a = 1"):
        assert told in seen.err
    assert user.types("jobs").out == before


def test_run_local_quietly_says_what_tasks_print_and_no_more(loner: User) -> None:
    seen = loner.types("run", "job.py", "raw://a", "--local", "--quiet", "--json")

    assert seen.lines[0].startswith('["a", ')
    assert sorted(seen.err.split("\n")) == ["", "\x1b[31mreduces", "child", "got a"]


def test_a_job_that_dies_locally_is_told_with_the_users_traceback(loner: User) -> None:
    seen = loner.types("run", "job.py", "raw://bad", "--local", status=1)

    assert "ValueError: it is bad" in seen.err
    assert 'raise ValueError("it is bad")' in seen.err
    assert seen.out == ""


@pytest.mark.parametrize("option", [("--workers", "1"), ("--redis", "redis://x"), ("--stream",)])
def test_what_is_for_a_cluster_and_local_contradict_each_other(loner: User, option: tuple[str, ...]) -> None:
    seen = loner.types("run", "job.py", "raw://a", "--local", *option, status=1)

    assert (
        seen.err == f"disco-rq: --local is for this process, and {option[0]} for a cluster: leave one out\n"
    )


def test_run_shows_what_tasks_print_when_asked_to(user: User) -> None:
    seen = user.types("run", "job.py", "raw://a", "raw://b", "--logs", "--quiet")

    assert sorted(line.split("\t")[0] for line in seen.lines) == ["a", "b"]
    told = [line for line in seen.err.splitlines() if " | " in line]
    assert sorted(told) == [
        "map:0 | child",
        "map:0 | got a",
        "map:1 | child",
        "map:1 | got b",
        "reduce:0 | \\x1b[31mreduces",
    ]
    assert told[-1].startswith("reduce:0")
    assert " | " not in user.types("run", "job.py", "raw://a").err
    assert sorted(user.types("wait", "@", "--logs", "--quiet").err.splitlines()) == [
        "map:0 | child",
        "map:0 | got a",
        "reduce:0 | \\x1b[31mreduces",
    ]


def test_the_results_may_be_streamed_beside_them(user: User) -> None:
    seen = user.types("run", "job.py", "raw://a", "--stream", "--logs", "--quiet")

    assert [line.split("\t")[0] for line in seen.lines] == ["a"]
    assert "map:0 | got a" in seen.err.splitlines()


def test_the_last_words_of_a_task_that_ends_the_job_are_shown(user: User) -> None:
    seen = user.types("run", "job.py", "raw://bad", "--logs", "--quiet", status=1)

    assert "map:0 | got bad" in seen.err.splitlines()
    assert "ValueError: it is bad" in seen.err


UNIQUE = """
import time

unique = True

def map(line, params):
    time.sleep(60)
"""


def test_ctrl_c_ends_no_job_that_was_there_before(user: User) -> None:
    (user.home / "one.py").write_text(UNIQUE)
    with Disco(user.env["DISCO_RQ_REDIS"]) as disco:

        def active() -> list[str]:
            return [name for _, status, name in disco.joblist() if status == "active"]

        # given one who has submitted a job, and another who asks for the same
        with user.starts("run", "one.py", "raw://a") as first:
            [name] = wait_until(active)
            with user.starts("run", "one.py", "raw://a") as second:
                assert second.stderr is not None
                second.stderr.readline()  # of its progress: it waits
                second.send_signal(signal.SIGINT)
                told = second.communicate(timeout=30)[1]
                assert second.returncode == 130
            # then it goes on after the other's Ctrl-C
            assert f"job {name} goes on" in told
            assert active() == [name]
            # and is gone after that of its own
            first.send_signal(signal.SIGINT)
            assert f"job {name} is purged" in first.communicate(timeout=30)[1]
        assert name not in [of for *_, of in disco.joblist()]


def test_a_job_says_whether_it_was_there_before(user: User) -> None:
    with Disco(user.env["DISCO_RQ_REDIS"]) as disco:
        first, second = (
            disco.new_job("same", ["raw://a"], map=lambda line, params: [], unique=True, needs={"gpu": True})
            for _ in range(2)
        )
        assert (first.name, first.is_shared, second.is_shared) == (second.name, False, True)
        first.purge()
