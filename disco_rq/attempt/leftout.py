"""What an attempt has left out: a file of bad entries, and what its commit tells of them."""

from __future__ import annotations

import json
import os
import threading
import time
from typing import NoReturn

from disco_rq.attempt.files import place_bad
from disco_rq.attempt.place import Place
from disco_rq.attempt.tracebacks import Tracebacks
from disco_rq.attempt.usercode import message_of
from disco_rq.errors import BadEntryError
from disco_rq.outputs.badfile import BadFile
from disco_rq.runtime import RunningTask
from disco_rq.store.badentries import Causes, is_too_much, too_many_text

__all__ = ["LeftOut"]

LOOK_S = 1.0
"""So often it is looked, at a bad entry, how many there are in other tasks."""


class LeftOut:
    """Of one attempt of a map."""

    def __init__(self, running: RunningTask, attempt: int, place: Place) -> None:
        self._running = running
        self._attempt = attempt
        self._place = place
        self._max_bad = running.spec.max_bad
        self._file = BadFile(place.scratch.bad)
        self._causes = Causes()
        self._tracebacks = Tracebacks()
        self._nr_bad = self._nr_read = self._elsewhere = 0
        self._looked_s = time.monotonic()
        self._too_many: tuple[str, str] | None = None  # why, and what is told
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def keep(self, url: str, offset: int, number: int, entry: object, error: Exception | str) -> None:
        """Another bad entry. ``BadEntryError`` if the job has more now than it may."""
        if os.getpid() != self._pid:
            raise BadEntryError("skip_entry cannot be called in a process that the task has forked")
        told, traceback = str(error), ""
        if isinstance(error, Exception):
            told, traceback = message_of(error), self._tracebacks.of(error)
        with self._lock:
            if self._too_many is not None:  # the job's function has caught it
                raise self._error()
            self._file.add(url, offset, number, entry, told, traceback)
            self._causes.add(told, url, offset)
            self._nr_bad += 1
            self._check()

    def look(self, nr_read: int, share: float) -> None:
        """``BadEntryError`` if what is bad of this task is too much, whatever is read yet."""
        if not 0 < self._max_bad < 1:
            return
        with self._lock:
            nr_maps = self._running.spec.nr_maps
            if is_too_much(self._nr_bad, nr_read, self._max_bad, done=share, nr_maps=nr_maps):
                self._nr_read = nr_read
                self._give_up(self._nr_bad)

    def end(self, nr_read: int) -> None:
        """There are no more."""
        self._nr_read = nr_read

    def settle(self) -> str:
        """Put the file, if there is one, where it stays. Returns what the commit tells."""
        if self._file.close():
            place_bad(self._running.spec, self._running.task, self._attempt, self._place)
        return json.dumps({"n": self._nr_bad, "of": self._nr_read, "causes": self._causes.pack()})

    def abandon(self) -> None:
        """The attempt has failed."""
        self._file.close()
        self._place.scratch.bad.unlink(missing_ok=True)

    def _check(self) -> None:
        """A look at the number in all: who is far beyond it need not go on. The commit counts exactly."""
        if 0 < self._max_bad < 1:
            return
        if time.monotonic() - self._looked_s > LOOK_S:
            self._elsewhere = self._running.services.bad_elsewhere()
            self._looked_s = time.monotonic()
        bad = self._elsewhere + self._nr_bad
        if bad > self._max_bad:
            self._give_up(bad)

    def _give_up(self, bad: int) -> NoReturn:
        text = too_many_text(bad, self._nr_read, self._max_bad, self._causes)
        self._too_many = text, self.settle()
        self._running.doom = self._error()
        raise self._error()

    def _error(self) -> BadEntryError:
        """Another one each time: one that is kept would keep all that its traceback holds, open files too."""
        assert self._too_many is not None
        error = BadEntryError(self._too_many[0])
        error.left_out = self._too_many[1]
        return error
