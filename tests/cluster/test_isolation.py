"""No task finds what another one left; kill ends what a task started, however it hid."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from disco_rq import Disco, Job, Params, result_iterator
from disco_rq.runtime import this_partition
from tests.cluster.conftest import wait_until
from tests.cluster.small_jobs import death, pairs, run


@pytest.fixture(scope="module")
def single() -> Iterator[Disco]:
    """One worker, so that tasks follow one another in one process as far as they may."""
    with Disco(workers=1) as cluster:
        yield cluster


SOON_S = 10.0
"""Two seconds, and patience with a busy machine."""
MANY = [f"raw://{i}" for i in range(40)]
"""Enough no-op tasks that some travel as one batch."""


def test_environment_path_and_directory_are_as_new_for_each_attempt(single: Disco) -> None:
    def leave(entry: str, params: Any) -> list[tuple[str, Any]]:
        seen = (os.environ.get("LEFT"), "/left" in sys.path, sorted(path.name for path in Path().iterdir()))
        os.environ["LEFT"] = entry
        sys.path.append("/left")
        Path("left").mkdir()
        Path("left/file").write_text(entry)
        Path("deep").mkdir()
        os.chdir("deep")
        return [(entry, seen)]

    for _, (left, on_path, files) in pairs(run(single, input=MANY, map=leave)):
        assert (left, on_path, files) == (None, False, [])


def test_each_attempt_has_a_temporary_directory_that_is_removed_afterwards(single: Disco) -> None:
    def work(entry: str, params: Any) -> list[tuple[str, str]]:
        import tempfile

        with tempfile.NamedTemporaryFile(delete=False) as file:
            file.write(b"x" * 1000)
        assert Path(file.name).parent == Path.cwd()
        return [(entry, file.name)]

    for _, path in pairs(run(single, input=MANY, map=work)):
        assert not Path(path).exists()


def test_jobs_do_not_see_each_others_modules_and_globals(single: Disco) -> None:
    def count(entry: str, params: Any) -> list[tuple[str, int]]:
        module: Any = sys.modules.setdefault("left_by_a_job", type(sys)("left_by_a_job"))
        module.calls = getattr(module, "calls", 0) + 1
        return [(entry, module.calls)]

    assert pairs(run(single, map=count)) == [("entry", 1)]
    assert pairs(run(single, map=count)) == [("entry", 1)]


def test_a_thread_that_a_task_leaves_is_not_there_for_the_next_one(single: Disco) -> None:
    def leave_thread(entry: str, params: Any) -> list[tuple[str, Any]]:
        found = [thread.name for thread in threading.enumerate()]
        threading.Thread(target=time.sleep, args=[60], name=f"left by {entry}", daemon=True).start()
        return [(entry, [name for name in found if name.startswith("left by")])]

    for _, found in pairs(run(single, input=MANY[:12], map=leave_thread)):
        assert found == []


def hide(params: Any) -> None:
    """Start processes in all ways to escape: a child, one with a session of its own, a daemon."""
    sleeper = "import time; time.sleep(600)"
    children = [
        subprocess.Popen([sys.executable, "-c", sleeper], start_new_session=own) for own in (False, True)
    ]
    daemon = (
        "import os, sys, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        print(os.getpid(), flush=True)\n"
        "        os.close(1)\n"
        "        time.sleep(600)\n"
        "os._exit(0)\n"
    )
    told = subprocess.run([sys.executable, "-c", daemon], stdout=subprocess.PIPE, check=True).stdout
    pids = [*(child.pid for child in children), int(told), os.getpid()]
    aside = Path(params.dir, "aside")
    aside.write_text(" ".join(map(str, pids)))
    aside.rename(Path(params.dir, "pids"))


def started_processes(directory: Path) -> list[int]:
    wait_until(lambda: (directory / "pids").exists())
    return [int(pid) for pid in (directory / "pids").read_text().split()]


def hiding_job(disco: Disco, directory: Path) -> Job:
    def hide_and_wait(entry: str, params: Any) -> list[Any]:
        hide(params)
        time.sleep(600)
        return []

    return disco.new_job("hiding", ["raw://x"], map=hide_and_wait, params=Params(dir=str(directory)))


def test_kill_ends_a_task_and_every_process_that_it_started_within_two_seconds(
    single: Disco, tmp_path: Path
) -> None:
    job = hiding_job(single, tmp_path)
    pids = started_processes(tmp_path)
    assert all(psutil.pid_exists(pid) for pid in pids)
    job.kill()
    wait_until(lambda: not any(psutil.pid_exists(pid) for pid in pids), timeout_s=SOON_S)


def test_a_worker_killed_9_takes_every_process_of_its_task_with_it(tmp_path: Path) -> None:
    with Disco(workers=1) as disco:
        hiding_job(disco, tmp_path)
        pids = started_processes(tmp_path)
        horse = psutil.Process(pids[-1])
        worker = horse.parent()
        assert worker is not None
        worker.kill()
        wait_until(lambda: not any(psutil.pid_exists(pid) for pid in pids))


def test_processes_that_a_finished_task_leaves_are_ended(single: Disco, tmp_path: Path) -> None:
    def leave_processes(entry: str, params: Any) -> list[tuple[str, int]]:
        hide(params)
        return [(entry, 1)]

    run(single, map=leave_processes, params=Params(dir=str(tmp_path)))
    pids = started_processes(tmp_path)
    wait_until(lambda: not any(psutil.pid_exists(pid) for pid in pids))


def test_a_task_that_catches_its_timeout_is_ended_with_its_process(single: Disco) -> None:
    def stubborn(entry: str, params: Any) -> list[Any]:
        while True:
            with contextlib.suppress(Exception):
                time.sleep(600)

    message = death(single, map=stubborn, task_timeout=0.2)
    assert "TaskTimeout" in message
    assert "was killed" in message


def test_the_others_of_a_batch_run_although_one_leaves_a_thread(single: Disco) -> None:
    def sometimes(entry: str, params: Any) -> list[tuple[int, str]]:
        if this_partition() % 7 == 0:
            threading.Thread(target=time.sleep, args=[60], daemon=True).start()
        return [(this_partition(), entry)]

    job = run(single, input=MANY, map=sometimes)
    assert [n for n, _ in result_iterator(job.wait())] == list(range(40))
    assert job.jobinfo()["mapi"] == [0, 0, 40, 0]
