"""The warm horse: a forked process that waits for RQ jobs of one disco job, and runs them one after the
other.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import mmap
import os
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable
from resource import struct_rusage

import msgpack

log = logging.getLogger("disco_rq.horse")

DONE = b"+"
"""The horse's answer: the RQ job is through, send the next."""
SPENT = b"-"
"""The same, but something of it is left behind (threads, child processes): this horse must go."""

MAX_BATCHES = 1000
"""A horse is replaced after so many batches, whatever they were."""
MAX_RSS_BYTES = 768 << 20
"""A horse that is larger between two batches is replaced: what it holds is leaked or cached by user code."""

_LENGTH = struct.Struct("!I")
_PR_SET_PDEATHSIG = 1


class Horse:
    """A horse as its worker sees it. It is a process group of its own, and dies with its worker."""

    def __init__(
        self, run: Callable[[str, str], None], progress: mmap.mmap, in_child: Callable[[], None]
    ) -> None:
        """Fork. In the child ``in_child()`` once, then ``run(rq_job_id, execution_id)`` for each request."""
        self.job = ""  # the disco job that it is bound to; "" none yet
        self.progress = progress
        self._batches = 0
        self._buried = False
        ours, theirs = socket.socketpair()
        worker_pid = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                ours.close()
                os.setpgrp()
                _die_with_parent(worker_pid)
                in_child()
                _serve(theirs, run)
                status = 0
            except BaseException:
                log.exception("horse %s ends", os.getpid(), extra={"action": "horse"})
            finally:
                os._exit(status)
        theirs.close()
        self._socket = ours

    def start(self, rq_job_id: str, execution_id: str) -> None:
        """Hand an RQ job over; ``wait`` tells its end."""
        self._batches += 1
        request = msgpack.packb([rq_job_id, execution_id])
        with contextlib.suppress(OSError):  # it died while it was idle: wait() will tell
            self._socket.sendall(_LENGTH.pack(len(request)) + request)

    def wait(self) -> int:
        """Wait for the end of the RQ job: 0 if the horse lives on, else its wait status.

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

    def settle(self) -> bool:
        """Take the answer of the job that ended. False: this horse is spent."""
        answer = self._socket.recv(1)
        return answer == DONE and self._batches < MAX_BATCHES and _rss_bytes(self.pid) < MAX_RSS_BYTES

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


def _serve(requests: socket.socket, run: Callable[[str, str], None]) -> None:
    """The child's loop, until the parent closes its end."""
    stream = requests.makefile("rb")
    while length := stream.read(_LENGTH.size):
        rq_job_id, execution_id = msgpack.unpackb(stream.read(_LENGTH.unpack(length)[0]))
        run(rq_job_id, execution_id)
        requests.send(SPENT if _leftovers() else DONE)


def _leftovers() -> bool:
    """True if user code left threads or child processes behind."""
    if threading.active_count() > 1:
        return True
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False  # no child at all, running or ended
    return True


def _die_with_parent(worker_pid: int) -> None:
    """End this process when its worker ends, however that happens (Linux; elsewhere the closed socket does
    it).
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != worker_pid:  # it ended before the call
            os._exit(1)


def _rss_bytes(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm", "rb") as statm:
            return int(statm.read().split()[1]) * mmap.PAGESIZE
    except OSError:
        return 0  # no /proc on this system: replaced by number of batches only
