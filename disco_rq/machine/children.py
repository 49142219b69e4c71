"""Children of this process: whether one has ended, which is never told by what others hold."""

from __future__ import annotations

import os
import select
import time
from typing import Literal, Protocol, TypeAlias

import psutil

from disco_rq.machine.kernel import pidfd_open, waitid

__all__ = ["ChildWatch", "has_children", "has_ended", "wait_for_words"]

LOOK_S = 0.02
"""How often a child is looked at where the kernel cannot tell of its end (no pidfd)."""


class HasFileno(Protocol):
    """A socket, say."""

    def fileno(self) -> int:
        """Its descriptor."""


News: TypeAlias = Literal["words", "end", ""]


class ChildWatch:
    """Waits for a child's words on a descriptor, and for its end. Words said before the end come first.

    The other end of the descriptor may be held by anybody: a process that the child has forked holds it for
    as long as it likes. The child is not reaped, so that its pid stays its own.
    """

    def __init__(self, pid: int, fd: int) -> None:
        self._pid = pid
        self._fd = fd
        self._pidfd = _pidfd_of(pid)
        self._is_silent = False

    def wait(self, timeout_s: float | None = None) -> News:
        """``"words"`` to be read (or the end of them, if nobody holds the other end), the child's ``"end"``,
        or ``""`` when the time is up. May be interrupted by an exception, and called again.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            found = self._look(deadline)
            if self._fd in found:
                return "words"
            if self._pidfd in found or (self._pidfd < 0 and has_ended(self._pid)):
                # It may have said something since the look.
                return "words" if self._fd in self._look(0.0) else "end"
            if deadline is not None and time.monotonic() >= deadline:
                return ""

    def hear_no_more(self) -> None:
        """There are no words to come; the end is still told."""
        self._is_silent = True

    def close(self) -> None:
        """Idempotent."""
        pidfd, self._pidfd = self._pidfd, -1
        if pidfd >= 0:
            os.close(pidfd)

    def _look(self, deadline: float | None) -> set[int]:
        steps = [] if deadline is None else [max(deadline - time.monotonic(), 0.0)]
        steps += [LOOK_S] if self._pidfd < 0 else []
        poll = select.poll()  # a new one: a signal handler may wait in the middle of another wait
        if not self._is_silent:
            poll.register(self._fd, select.POLLIN)
        if self._pidfd >= 0:
            poll.register(self._pidfd, select.POLLIN)
        return {fd for fd, _ in poll.poll(min(steps) * 1000 if steps else None)}


def wait_for_words(fd: HasFileno, timeout_s: float | None) -> bool:
    """Whether there is something to read so soon, or the end of it. For any number of open descriptors."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(None if timeout_s is None else timeout_s * 1000))


def has_ended(pid: int) -> bool:
    """Whether this child has; it is not reaped by looking."""
    if waitid is not None:
        try:
            return waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return True
    try:  # macOS before Python 3.13
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def has_children() -> bool:
    """Whether this process has any, running or ended."""
    try:
        if waitid is not None:
            waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        else:
            os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return False
    return True


def _pidfd_of(pid: int) -> int:
    """-1 where there is none: not Linux, an old kernel, or a sandbox that forbids it."""
    try:
        return -1 if pidfd_open is None else pidfd_open(pid)
    except OSError:
        return -1
