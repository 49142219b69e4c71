"""The warm horse: a forked process that waits for batches of one job, and runs them one after the other."""

from __future__ import annotations

import contextlib
import logging
import mmap
import os
import signal
import socket
import struct
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from enum import StrEnum
from resource import struct_rusage
from typing import NamedTuple, TypeAlias

import msgpack
import psutil

from disco_rq.machine.child import fork
from disco_rq.machine.children import ChildWatch, has_ended, wait_for_words
from disco_rq.machine.kernel import IS_LINUX, PROC
from disco_rq.machine.orphans import adopt_orphans, die_with_parent
from disco_rq.model import TaskId
from disco_rq.worker.finished import Finished

log = logging.getLogger("disco_rq.horse")

RunBatch: TypeAlias = Callable[[str, str, list[tuple[TaskId, int]]], "Fitness"]
"""What a horse does: ``run(job, batch, [(task, attempt), …])``."""
Rehearsed: TypeAlias = tuple[RunBatch, Callable[[], None]]
"""The same, and what a horse does before its first batch if none waits for it yet."""


class Fitness(StrEnum):
    """What a horse answers, and what it is good for then."""

    DONE = "+"
    """The batch is through, send the next."""
    SPENT = "-"
    """The same, but something of it is left behind (threads, child processes): this horse must go."""
    REST = "~"
    """The same, but the tasks behind the one that it had last are another horse's."""


FAILED = b"!"
"""The batch itself failed, and nobody has been told why; a traceback follows. This horse must go."""

MAX_BATCHES = 1000
"""A horse is replaced after so many batches, whatever they were."""
MAX_RSS_BYTES = 768 << 20
"""A horse that is larger between two batches is replaced: what it holds is leaked or cached by user code."""

MAX_SENDING_S = 3.0
"""A horse that sends the spans of its batch is let to for so long: more than a collector is waited for."""

REHEARSE_AFTER_S = 0.05
"""Jobs that come one after the other need it sooner: to rehearse costs half of what a small one does."""

ORPHANED_S = None if IS_LINUX else 1.0
"""How often an idle horse looks whether its worker is there, where the kernel does not end it with that."""

_LENGTH = struct.Struct("!I")


class Progress:
    """Memory that a worker shares with its horse: which task of the batch runs, until when it may, and how
    far it is.
    """

    # Of the horse: index; deadline by the monotonic clock, which is the same in both processes (0: none);
    # until when it may send the spans of a batch whose tasks have run (0: it does not); entries that were
    # read so far.
    # Behind it, of the worker: whether it wants the tasks back that have not begun.
    _LAYOUT = struct.Struct("qddq")
    _SENDS, _SENDS_AT = struct.Struct("d"), 16
    _ENTRIES = struct.Struct("q")
    _ENTRIES_AT = _LAYOUT.size - _ENTRIES.size

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, mmap.PAGESIZE)

    def begin(self, index: int, limit_s: float | None = None) -> None:
        """The task of this index begins, or has learnt its time limit."""
        deadline = time.monotonic() + limit_s if limit_s else 0.0
        self._LAYOUT.pack_into(self._memory, 0, index, deadline, 0.0, 0)

    def tell_entries(self, nr_entries: int) -> None:
        """The task has read so many entries."""
        self._ENTRIES.pack_into(self._memory, self._ENTRIES_AT, nr_entries)

    def begin_sending(self) -> None:
        """The tasks of the batch have run; its spans are to be sent yet, which is not to be cut short."""
        self._SENDS.pack_into(self._memory, self._SENDS_AT, time.monotonic() + MAX_SENDING_S)

    @property
    def is_sending(self) -> bool:
        """Whether only spans are still to be sent; False once that takes too long."""
        until: float = self._SENDS.unpack_from(self._memory, self._SENDS_AT)[0]
        return until > 0 and time.monotonic() < until

    def want_back(self, wanted: bool) -> None:
        """Whether the tasks of the batch that have not begun are for others from here on."""
        self._memory[self._LAYOUT.size] = wanted

    @property
    def is_wanted_back(self) -> bool:
        return bool(self._memory[self._LAYOUT.size])

    @property
    def index(self) -> int:
        return int(self._LAYOUT.unpack_from(self._memory)[0])

    @property
    def nr_entries(self) -> int:
        """Entries that the task has read, as it told them last."""
        return int(self._ENTRIES.unpack_from(self._memory, self._ENTRIES_AT)[0])

    @property
    def overdue_s(self) -> float:
        """For how long the task has been over its limit; negative or 0 if it is not."""
        deadline = self._LAYOUT.unpack_from(self._memory)[1]
        return time.monotonic() - deadline if deadline else 0.0


class Death(NamedTuple):
    """How a process ended: its wait status, None if somebody else has taken that, and what it used."""

    status: int | None = None
    usage: struct_rusage | None = None


class Horse:
    """A horse as its worker sees it. It is a session of its own, and dies with its worker.

    What its tasks have forked holds its end of the socket, too, and may do so for ever: that it has died is
    seen by its process.
    """

    def __init__(self, in_child: Callable[[], Rehearsed], progress: Progress, finished: Finished) -> None:
        """Fork. The child calls ``in_child()`` once, and what that returns for each request."""
        self.job = ""  # the disco job that it is bound to; "" none yet
        self.is_spent = False  # it must not get another batch
        self.has_left_rest = False  # of its batch the tasks after ``progress.index``
        self.progress, self.finished = progress, finished
        self._batches = 0
        self._buried, self._death = False, Death()
        self._oom_kills = _oom_kills()
        ours, theirs = socket.socketpair()
        worker_pid = os.getpid()
        self.pid = fork()
        if self.pid == 0:
            status = 1
            try:
                ours.close()
                os.setsid()  # no terminal either: a password prompt would stop it for ever
                die_with_parent(worker_pid)
                adopt_orphans()  # a daemon that a task starts stays its own, and is found when it has ended
                _serve(theirs, worker_pid, *in_child())
                status = 0
            except BaseException:
                log.exception("horse %s ends", os.getpid(), extra={"action": "horse"})
            finally:
                os._exit(status)
        theirs.close()
        ours.setblocking(False)
        self._socket = ours
        self._watch = ChildWatch(self.pid, ours.fileno())

    def is_alive(self) -> bool:
        """False if something has killed it while it waited; it is not reaped by looking."""
        return not self._buried and not has_ended(self.pid)

    def start(self, job: str, batch: str, tasks: Sequence[tuple[TaskId, int]]) -> None:
        """Hand a batch over; ``wait`` tells its end."""
        self._batches += 1
        request = msgpack.packb([job, batch, [(task.phase, task.index, number) for task, number in tasks]])
        self._socket.setblocking(True)
        with contextlib.suppress(OSError):  # it died while it was idle: wait() will tell
            self._socket.sendall(_LENGTH.pack(len(request)) + request)
        self._socket.setblocking(False)

    def answers_within(self, seconds: float | None) -> bool:
        """True if the batch is through so soon; False also for a horse that has died."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while True:
            left_s = None if deadline is None else max(deadline - time.monotonic(), 0.0)
            if self._watch.wait(left_s) != "words":
                return False
            try:
                if self._socket.recv(1, socket.MSG_PEEK):
                    return True
            except ConnectionResetError:
                pass
            except BlockingIOError:
                continue
            self._watch.hear_no_more()  # all ends are closed; it may still be busy with that

    def wait(self) -> int:
        """Wait for the end of the batch: 0 if the horse lives on, else what RQ is told of its death.

        May be interrupted by an exception of a signal handler at any instruction and called again: nothing is
        taken here. ``settle`` takes the answer, ``bury`` the dead horse.
        """
        return 0 if self.answers_within(None) else int(signal.SIGKILL)

    def settle(self) -> str:
        """Take the answer of the batch that ended: why it failed as a whole, ``""`` if it did not."""
        answer = self._read(1)
        self.has_left_rest = answer == Fitness.REST.encode()
        fit = (
            answer == Fitness.DONE.encode()
            and self._batches < MAX_BATCHES
            and _rss_bytes(self.pid) < MAX_RSS_BYTES
        )
        self.is_spent = not fit
        if answer != FAILED:
            return ""
        length = self._read(_LENGTH.size)
        why = self._read(_LENGTH.unpack(length)[0]) if len(length) == _LENGTH.size else b""
        return why.decode("utf-8", "replace") or "its process ended while it told why"

    def _read(self, size: int) -> bytes:
        """So many bytes of what it says; fewer if it dies before."""
        said = b""
        while len(said) < size and self.answers_within(None):
            said += self._socket.recv(size - len(said))
        return said

    def out_of_memory(self) -> bool:
        """True if the kernel has killed some process for lack of memory since this horse began."""
        return _oom_kills() > self._oom_kills

    def kill(self) -> None:
        """End the horse and its process group, if they are still there, and do not wait for it."""
        if not self._buried:
            for end in (os.killpg, os.kill):  # the group may not be there yet
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    end(self.pid, signal.SIGKILL)

    def bury(self) -> Death:
        """End the horse and its process group, if they are still there. How it ended; idempotent."""
        if self._buried:
            return self._death
        self.kill()
        self._buried = True
        with contextlib.suppress(ChildProcessError):
            self._death = Death(*os.wait4(self.pid, 0)[1:])
        self._socket.close()
        self._watch.close()
        return self._death


def _serve(requests: socket.socket, worker_pid: int, run: RunBatch, rehearse: Callable[[], None]) -> None:
    """The child's loop, until the parent closes its end or is gone."""
    if not wait_for_words(requests, REHEARSE_AFTER_S):
        rehearse()
    stream = requests.makefile("rb")
    while _is_wanted(requests, worker_pid) and (length := stream.read(_LENGTH.size)):
        job, batch, tasks = msgpack.unpackb(stream.read(_LENGTH.unpack(length)[0]))
        try:
            fitness = run(job, batch, [(TaskId(phase, index), number) for phase, index, number in tasks])
        except Exception:  # noqa: BLE001  whatever it is, RQ is to keep it
            why = traceback.format_exc().encode("utf-8", "backslashreplace")
            requests.sendall(FAILED + _LENGTH.pack(len(why)) + why)
        else:
            requests.send(fitness.encode())


def _is_wanted(requests: socket.socket, worker_pid: int) -> bool:
    """Wait for the worker to say something; False if it is gone and the kernel has not ended us for that."""
    while not wait_for_words(requests, ORPHANED_S):
        if os.getppid() != worker_pid:
            return False
    return True


def _rss_bytes(pid: int) -> int:
    try:
        with open(f"{PROC}/{pid}/statm", "rb") as statm:
            return int(statm.read().split()[1]) * mmap.PAGESIZE
    except OSError:  # no /proc on this system, or it has ended
        with contextlib.suppress(psutil.Error):
            return int(psutil.Process(pid).memory_info().rss)
        return 0


def _oom_kills() -> int:
    """How many processes this kernel has killed for lack of memory."""
    try:
        with open(f"{PROC}/vmstat") as vmstat:
            return sum(int(line.split()[1]) for line in vmstat if line.startswith("oom_kill "))
    except OSError:
        return 0


def death_in_words(death: Death, *, overdue: bool, out_of_memory: bool) -> str:
    """Why the process of a task ended, in words."""
    if overdue:
        return "TaskTimeout: the task ran on after its task_timeout, and was killed"
    if death.status is None:
        how = "ended"
    elif os.WIFSIGNALED(death.status):
        how = f"was killed by {_signal_name(os.WTERMSIG(death.status))}"
    else:
        how = f"exited with status {os.waitstatus_to_exitcode(death.status)} in the middle of the task"
    if out_of_memory:
        how += " (the kernel ran out of memory)"
    peak = f", peak memory {_peak_bytes(death.usage) >> 20} MB" if death.usage is not None else ""
    return f"the process of the task {how}{peak}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # one of those for real time, which have no names
        return f"signal {number}"


def _peak_bytes(usage: struct_rusage) -> int:
    return usage.ru_maxrss if sys.platform == "darwin" else usage.ru_maxrss << 10
