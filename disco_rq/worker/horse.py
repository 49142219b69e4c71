"""The warm horse: a forked process that waits for batches of one job, and runs them one after the other."""

from __future__ import annotations

import contextlib
import logging
import mmap
import os
import select
import signal
import socket
import struct
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from resource import struct_rusage
from typing import TypeAlias

import msgpack

from disco_rq.machine.orphans import die_with_parent

log = logging.getLogger("disco_rq.horse")

RunBatch: TypeAlias = Callable[[str, str, list[tuple[str, int]]], None]
"""What a horse does: ``run(job, batch, [(task, attempt), …])``."""
Rehearsed: TypeAlias = tuple[RunBatch, Callable[[], None]]
"""The same, and what a horse does before its first batch if none waits for it yet."""

DONE = b"+"
"""The horse's answer: the batch is through, send the next."""
SPENT = b"-"
"""The same, but something of it is left behind (threads, child processes): this horse must go."""
FAILED = b"!"
"""The batch itself failed, and nobody has been told why; a traceback follows. This horse must go."""

MAX_BATCHES = 1000
"""A horse is replaced after so many batches, whatever they were."""
MAX_RSS_BYTES = 768 << 20
"""A horse that is larger between two batches is replaced: what it holds is leaked or cached by user code."""

_LENGTH = struct.Struct("!I")
_KNOWN_THREADS = {"MainThread", "fsspecIO"}  # fsspec keeps one for its remote file systems


class Progress:
    """Memory that a worker shares with its horse: which task of the batch runs, and until when it may."""

    # Index; deadline by the monotonic clock, which is the same in both processes (0: none).
    _LAYOUT = struct.Struct("qd")

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, mmap.PAGESIZE)

    def begin(self, index: int, limit_s: float | None = None) -> None:
        """The task of this index begins, or has learnt its time limit."""
        self._LAYOUT.pack_into(self._memory, 0, index, time.monotonic() + limit_s if limit_s else 0.0)

    @property
    def index(self) -> int:
        return int(self._LAYOUT.unpack_from(self._memory)[0])

    @property
    def overdue_s(self) -> float:
        """For how long the task has been over its limit; negative or 0 if it is not."""
        deadline = self._LAYOUT.unpack_from(self._memory)[1]
        return time.monotonic() - deadline if deadline else 0.0


class Horse:
    """A horse as its worker sees it. It is a session of its own, and dies with its worker."""

    def __init__(self, in_child: Callable[[], Rehearsed], progress: Progress) -> None:
        """Fork. The child calls ``in_child()`` once, and what that returns for each request."""
        self.job = ""  # the disco job that it is bound to; "" none yet
        self.is_spent = False  # it must not get another batch
        self.progress = progress
        self._batches = 0
        self._buried = False
        self._oom_kills = _oom_kills()
        ours, theirs = socket.socketpair()
        worker_pid = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                ours.close()
                os.setsid()  # no terminal either: a password prompt would stop it for ever
                die_with_parent(worker_pid)
                _serve(theirs, *in_child())
                status = 0
            except BaseException:
                log.exception("horse %s ends", os.getpid(), extra={"action": "horse"})
            finally:
                os._exit(status)
        theirs.close()
        self._socket = ours

    def is_alive(self) -> bool:
        """False if something has killed it while it waited; it is not reaped by looking."""
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        except ChildProcessError:
            return False

    def start(self, job: str, batch: str, tasks: Sequence[tuple[str, int]]) -> None:
        """Hand a batch over; ``wait`` tells its end."""
        self._batches += 1
        request = msgpack.packb([job, batch, tasks])
        with contextlib.suppress(OSError):  # it died while it was idle: wait() will tell
            self._socket.sendall(_LENGTH.pack(len(request)) + request)

    def answers_within(self, seconds: float) -> bool:
        """True if the batch is through so soon; False also for a horse that has died."""
        if not select.select([self._socket], [], [], seconds)[0]:
            return False
        try:
            return bool(self._socket.recv(1, socket.MSG_PEEK))
        except ConnectionResetError:
            return False

    def wait(self) -> int:
        """Wait for the end of the batch: 0 if the horse lives on, else its wait status.

        May be interrupted by an exception of a signal handler at any instruction and called again: nothing is
        taken here. ``settle`` takes the answer, ``bury`` the dead horse.
        """
        try:
            if self._socket.recv(1, socket.MSG_PEEK):
                return 0
        except ConnectionResetError:
            pass
        end = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        if end is None or end.si_code == os.CLD_EXITED:
            # A horse ends only when told to, so that exit status 0 is no success either.
            return (end.si_status if end else 0) << 8 or 1 << 8
        return int(end.si_status)

    def settle(self) -> str:
        """Take the answer of the batch that ended: why it failed as a whole, ``""`` if it did not."""
        answer = self._socket.recv(1)
        fit = answer == DONE and self._batches < MAX_BATCHES and _rss_bytes(self.pid) < MAX_RSS_BYTES
        self.is_spent = not fit
        if answer != FAILED:
            return ""
        with self._socket.makefile("rb") as stream:
            return stream.read(_LENGTH.unpack(stream.read(_LENGTH.size))[0]).decode()

    def out_of_memory(self) -> bool:
        """True if the kernel has killed some process for lack of memory since this horse began."""
        return _oom_kills() > self._oom_kills

    def bury(self) -> struct_rusage | None:
        """End the horse and its process group, if they are still there. Returns what it used; idempotent."""
        if self._buried:
            return None
        self._buried = True
        self._socket.close()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        try:
            return os.wait4(self.pid, 0)[2]
        except ChildProcessError:
            return None


def _serve(requests: socket.socket, run: RunBatch, rehearse: Callable[[], None]) -> None:
    """The child's loop, until the parent closes its end."""
    if not select.select([requests], [], [], 0)[0]:
        rehearse()
    stream = requests.makefile("rb")
    while length := stream.read(_LENGTH.size):
        job, batch, tasks = msgpack.unpackb(stream.read(_LENGTH.unpack(length)[0]))
        try:
            run(job, batch, [(task, attempt) for task, attempt in tasks])
        except Exception:  # noqa: BLE001  whatever it is, RQ is to keep it
            why = traceback.format_exc().encode("utf-8", "backslashreplace")
            requests.sendall(FAILED + _LENGTH.pack(len(why)) + why)
        else:
            requests.send(SPENT if leftovers() else DONE)


def leftovers() -> bool:
    """True if user code left threads or child processes behind in this process."""
    if any(thread.name not in _KNOWN_THREADS for thread in threading.enumerate()):
        return True
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False  # no child at all, running or ended
    return True


def _rss_bytes(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm", "rb") as statm:
            return int(statm.read().split()[1]) * mmap.PAGESIZE
    except OSError:
        return 0  # no /proc on this system: replaced by number of batches only


def _oom_kills() -> int:
    """How many processes this kernel has killed for lack of memory."""
    try:
        with open("/proc/vmstat") as vmstat:
            return sum(int(line.split()[1]) for line in vmstat if line.startswith("oom_kill "))
    except OSError:
        return 0


def death_in_words(status: int, usage: struct_rusage | None, *, overdue: bool, out_of_memory: bool) -> str:
    """Why the process of a task ended, in words."""
    if overdue:
        return "TaskTimeout: the task ran on after its task_timeout, and was killed"
    if os.WIFSIGNALED(status):
        how = f"was killed by {signal.Signals(os.WTERMSIG(status)).name}"
    else:
        how = f"exited with status {os.waitstatus_to_exitcode(status)}"
    if out_of_memory:
        how += " (the kernel ran out of memory)"
    peak = f", peak memory {usage.ru_maxrss // 1024} MB" if usage is not None else ""  # Linux counts KiB
    return f"the process of the task {how}{peak}"
