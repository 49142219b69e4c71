"""A task finds its process as new, or another process, whatever the one before has done to it."""

from __future__ import annotations

import errno
import locale
import logging
import os
import resource
import signal
import socket
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from disco_rq import Disco, Params, result_iterator
from tests.cluster.small_jobs import death, pairs, run

MANY = [f"raw://{i}" for i in range(40)]
"""Enough no-op tasks that some travel as one batch."""
DESCRIPTORS = 256


@pytest.fixture(scope="module")
def single() -> Iterator[Disco]:
    """One worker, whose processes may have few descriptors."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, before[1]))
    try:
        with Disco(workers=1) as cluster:
            yield cluster
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def found() -> list[str]:
    """What a task can see of its process."""
    umask = os.umask(0o022)
    os.umask(umask)
    return [
        f"umask {umask:o}",
        f"timers {[signal.getitimer(which) for which in (signal.ITIMER_REAL, signal.ITIMER_PROF)]}",
        f"handlers {[signal.getsignal(signum) for signum in (signal.SIGUSR1, signal.SIGALRM)]}",
        f"mask {sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ()))}",
        f"limits {[resource.getrlimit(which) for which in (resource.RLIMIT_NOFILE, resource.RLIMIT_CORE)]}",
        f"recursion {sys.getrecursionlimit()}",
        f"locale {locale.setlocale(locale.LC_ALL)}",
        f"warnings {warnings.filters}",
        f"streams {[type(one).__name__ for one in (sys.stdin, sys.stdout, sys.stderr)]}",
        f"logging {len(logging.root.handlers)} {logging.root.level} {logging.root.manager.disable}",
    ]


def spoil() -> None:
    """Change all that ``found`` sees."""
    os.umask(0o777)
    signal.setitimer(signal.ITIMER_REAL, 600)
    signal.setitimer(signal.ITIMER_PROF, 600)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2, signal.SIGTERM})
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    sys.setrecursionlimit(5000)
    locale.setlocale(locale.LC_ALL, "C.UTF-8" if locale.setlocale(locale.LC_ALL) == "C" else "C")
    warnings.simplefilter("error")
    sys.stdin = sys.stdout = sys.stderr = None
    logging.root.addHandler(logging.NullHandler())
    logging.disable(logging.CRITICAL)


def test_each_attempt_finds_its_process_as_new(single: Disco) -> None:
    def look_and_spoil(entry: str, params: Any) -> list[tuple[str, Any]]:
        seen = [str(os.getpid()), *found()]
        spoil()
        return [(entry, seen)]

    seen = [what for _, what in pairs(run(single, input=MANY, map=look_and_spoil))]
    assert len({tuple(what[1:]) for what in seen}) == 1, seen[:2]
    assert len({what[0] for what in seen}) < len(seen), "a new process each time is no answer"


def test_what_cannot_be_put_back_is_met_by_nobody(single: Disco) -> None:
    def lower(entry: str, params: Any) -> list[tuple[str, Any]]:
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
        return [(entry, before[0])]

    assert {limit for _, limit in pairs(run(single, input=MANY[:10], map=lower))} == {DESCRIPTORS}


def test_descriptors_that_each_task_leaks_fail_no_task(single: Disco) -> None:
    def leak(entry: str, params: Any) -> list[tuple[str, int]]:
        kept = vars(socket).setdefault("kept_by_a_task", [])
        kept.extend(socket.socket() for _ in range(12))
        for one in kept[-12::2]:  # with holes between them
            one.close()
        return [(entry, 1)]

    job = run(single, input=[f"raw://{i}" for i in range(150)], map=leak, max_failures=0)
    assert len(list(result_iterator(job.wait()))) == 150
    assert job.jobinfo()["mapi"] == [0, 0, 150, 0]


def fill_up() -> None:
    """Open what there is to be had, and keep it."""
    kept = vars(socket).setdefault("kept_by_a_task", [])
    while True:
        kept.append(socket.socket())


def test_a_retry_never_meets_the_full_process_of_the_attempt_before(single: Disco, tmp_path: Path) -> None:
    def full_once(entry: str, params: Any) -> list[tuple[str, int]]:
        if entry == "3" and not params.first.exists():
            params.first.touch()
            fill_up()
        return [(entry, os.getpid())]

    job = run(single, input=MANY, map=full_once, params=Params(first=tmp_path / "first"), max_failures=1)
    assert len(pairs(job)) == 40
    [failed, done] = job.story("map:3")
    assert f"[Errno {errno.EMFILE}]" in failed["error"]
    assert done["outcome"] == "done"
    others = {one["outcome"] for i in range(40) if i != 3 for one in job.story(f"map:{i}")}
    assert others <= {"done", "release"}, "nobody else has failed of it"


def test_a_retry_after_any_failure_is_in_another_process(single: Disco, tmp_path: Path) -> None:
    def fails_once(entry: str, params: Any) -> list[tuple[int, int]]:
        with params.log.open("a") as log:
            log.write(f"{os.getpid()}\n")
        if len(params.log.read_text().splitlines()) == 1:
            raise ValueError("once")
        return []

    run(single, map=fails_once, params=Params(log=tmp_path / "pids"), task_retries=1)
    first, second = (tmp_path / "pids").read_text().split()
    assert first != second


@pytest.mark.parametrize("spoilt", ["umask", "directory", "directory replaced"])
def test_what_is_told_is_the_error_of_the_task_and_none_of_ours(single: Disco, spoilt: str) -> None:
    def spoil_and_raise(entry: str, params: Any) -> list[Any]:
        here = Path.cwd()
        if params == "umask":
            os.umask(0o777)
        else:
            here.rmdir()
        if params == "directory replaced":
            here.touch()
        raise ValueError("its own")

    assert "ValueError: its own" in death(single, map=spoil_and_raise, params=spoilt)
    assert pairs(run(single, map=lambda entry, params: [(entry, 1)])) == [("entry", 1)]


def test_a_process_has_no_more_tasks_than_the_setting_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCO_RQ_TASKS_PER_PROCESS", "3")

    def pid(entry: str, params: Any) -> list[tuple[str, int]]:
        return [(entry, os.getpid())]

    with Disco(workers=1) as disco:
        job = run(disco, input=MANY, map=pid)
        tasks = Counter(pid for _, pid in pairs(job))
        attempts = {one["attempt"] for i in range(40) for one in job.story(f"map:{i}")}
    assert max(tasks.values()) == 3
    assert attempts == {1}, "the others of a batch go on in the next process"


def test_a_job_can_be_killed_while_its_batch_changes_processes(single: Disco) -> None:
    def leave(entry: str, params: Any) -> list[tuple[str, int]]:
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
        return [(entry, 1)]

    for wait_s in (0.1, 0.2, 0.3):
        job = single.new_job("changing", [f"raw://{i}" for i in range(200)], map=leave)
        time.sleep(wait_s)
        job.kill()
        assert pairs(run(single, map=lambda entry, params: [(entry, 1)])) == [("entry", 1)]
