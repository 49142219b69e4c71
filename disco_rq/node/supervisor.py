"""Child processes that are kept running: forked, watched, started again when they die, ended together."""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from disco_rq.machine.child import fork
from disco_rq.machine.orphans import adopt_orphans, die_with_parent, end_orphans, kill
from disco_rq.machine.terminal import empty_stdin
from disco_rq.machine.titles import tell_title

log = logging.getLogger("disco_rq.supervisor")

RESTART_PAUSE_S = 1.0
FAREWELL_S = 3.0
"""For how long a child may still hand back what it has, once it was told to hurry."""
RQ_DEAF_S = 1.1
"""An RQ worker takes a second signal within one second for the same one."""
ORPHANS_S = 5.0
"""For how long after a child's death what it had started is looked for, and ended."""


@dataclass(slots=True)
class _Child:
    name: str
    run: Callable[[], None]
    died: Callable[[], None]
    started_at: float
    last: bool
    once: bool


class Supervisor:
    """Forks and watches children. For the main thread; on Linux the children die with their supervisor."""

    def __init__(self) -> None:
        self._children: dict[int, _Child] = {}
        self._due: list[tuple[float, _Child]] = []  # to be started again
        self._stopping = self._hurried = False
        self._spared: set[int] = set()
        self._orphans_until = 0.0
        adopt_orphans()
        self._wake, wake_end = socket.socketpair()
        self._wake.setblocking(False)
        wake_end.setblocking(False)
        self._wake_end = wake_end
        signal.set_wakeup_fd(wake_end.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # only to be woken

    def spawn(
        self,
        name: str,
        run: Callable[[], None],
        died: Callable[[], None] = lambda: None,
        *,
        last: bool = False,
        once: bool = False,
    ) -> int:
        """Fork a child that calls ``run``; ``died`` is called here when it ended unasked, and what it had
        started has ended, too. Returns its pid.

        ``name``: what ``ps`` shows it as. ``last``: it is to serve until the others have ended. ``once``: it
        may end, and is not started again.
        """
        return self._fork(_Child(name, run, died, time.monotonic(), last, once))

    def has(self, pid: int) -> bool:
        """Whether this child is there; one that has ended unseen counts."""
        return pid in self._children

    def spare(self, pid: int) -> None:
        """A child that somebody else in this process looks after."""
        self._spared.add(pid)

    def stop(self) -> None:
        """Ask ``watch`` to return, and when asked again ``end`` to hurry. Safe in a signal handler."""
        self._hurried, self._stopping = self._stopping, True

    def watch(
        self,
        until: int | None = None,
        look: Callable[[], bool | None] = lambda: None,
        *,
        every_s: float = RESTART_PAUSE_S,
    ) -> None:
        """Keep the children running until ``stop``, or until the file ``until`` reaches its end.

        ``look`` is called about as often as ``every_s`` says; True, or what it raises, ends the watch.
        """
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake, selectors.EVENT_READ)
            if until is not None:
                selector.register(until, selectors.EVENT_READ)
            while not self._stopping:
                for key, _ in selector.select(timeout=every_s):
                    if key.fd == until:
                        if not os.read(key.fd, 4096):
                            return
                    else:
                        self._wake.recv(4096)
                self._reap()
                if time.monotonic() < self._orphans_until:
                    end_orphans(spare=self._children.keys() | self._spared)
                self._restart()
                if look():
                    return

    def end(self, grace_s: float) -> None:
        """End every descendant of this process, at once if ``grace_s`` is 0.

        Else the children get a SIGTERM, and after ``grace_s``, or when hurried, another one, which to RQ's
        workers means at once; then those that are ``last`` get theirs. What is left soon after is killed.
        """
        self._due.clear()
        if grace_s > 0:
            self._ask_to_end(max(grace_s, RQ_DEAF_S), last=False)
            self._ask_to_end(FAREWELL_S, last=False)
            self._ask_to_end(FAREWELL_S, last=True)
        beyond_us: set[psutil.Process] = set()  # of other users
        while descendants := set(psutil.Process().children(recursive=True)) - beyond_us:
            # What we forked first: it uses what somebody else here started, such as the server.
            for process in sorted(descendants, key=lambda one: one.pid in self._spared):
                if not kill(process):
                    log.warning("%s cannot be ended", process, extra={"action": "orphan"})
                    beyond_us.add(process)
            self._reap(unasked=False)
            time.sleep(0.002)

    def _ask_to_end(self, patience_s: float, *, last: bool) -> None:
        asked = {pid for pid, child in self._children.items() if child.last == last}
        for pid in asked:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        began = time.monotonic()
        while asked & self._children.keys() and time.monotonic() - began < patience_s:
            if self._hurried and time.monotonic() - began > RQ_DEAF_S:
                return
            self._reap(unasked=False)
            time.sleep(0.01)

    def _fork(self, child: _Child) -> int:
        supervisor = os.getpid()
        pid = fork()
        if pid:
            self._children[pid] = child
            return pid
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._wake.close()
            self._wake_end.close()
            tell_title(child.name)
            die_with_parent(supervisor)
            empty_stdin()
            child.run()
            status = 0
        except SystemExit as exit:
            status = exit.code if isinstance(exit.code, int) else 1
        except (
            BaseException
        ):  # the last frame of a forked process: nothing may run on in a copy of its parent
            log.exception("%s ends", child.name, extra={"action": "crash"})
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def _reap(self, *, unasked: bool = True) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self._children.clear()
                return
            if pid == 0:
                return
            child = self._children.pop(pid, None)
            if child is None or not unasked:
                continue
            code = os.waitstatus_to_exitcode(status)
            if child.once and code == 0:
                continue
            log.warning("%s (pid %s) ended with %s", child.name, pid, code, extra={"action": "died"})
            self._orphans_until = time.monotonic() + ORPHANS_S
            end_orphans(spare=self._children.keys() | self._spared)  # before anybody hears that it has ended
            child.died()
            if child.once:
                continue
            self._due.append((max(time.monotonic(), child.started_at + RESTART_PAUSE_S), child))

    def _restart(self) -> None:
        now = time.monotonic()
        due, self._due = self._due, [entry for entry in self._due if entry[0] > now]
        for at, child in due:
            if at <= now:
                child.started_at = now
                self._fork(child)
