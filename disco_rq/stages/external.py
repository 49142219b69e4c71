"""Running an external program for one task: pairs to its stdin, lists of pairs from its stdout.

One thread does it all with a selector, so that neither side ever waits for the other to empty a full pipe,
and so that a time limit or a message over the quota strikes here like in any job function.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil

from disco_rq.errors import DataError, ProgramError, TaskTimeout
from disco_rq.external import ExternalProgram
from disco_rq.model import Phase
from disco_rq.records.taken import taken
from disco_rq.stages.pairwire import IncomingLists, Pair, Refusal, entry_pair, packed
from disco_rq.stages.stderrlines import StderrLines

__all__ = ["Refused", "RunningProgram", "running_program"]

GRACE_S = 5.0
"""A map has given all that it can when its last list is here: for so long it may still end by itself."""

_AHEAD_ENTRIES = 1000
_AHEAD_BYTES = 256 << 10
"""So much is sent before the first answer to it is here: a switch between processes for each pair is dear."""
_READ_BYTES = 256 << 10
_END_LOOK_S = 0.2
"""A program may end while a process that it started holds its pipes open: looked after so often."""


@dataclass(frozen=True, slots=True)
class Refused:
    """An entry of which a program says that it cannot use it."""

    entry: Any
    why: str


@contextmanager
def running_program(
    program: ExternalProgram, scratch: Path, phase: Phase = "map"
) -> Iterator[RunningProgram]:
    """Start the program in a directory of its own in ``scratch``; whatever happens, it does not outlive this.
    Its argument is the ``phase``.

    Raises ``DataError`` if it cannot be started here, so that another node is tried.
    """
    path = program.write_to(scratch / ".program")
    libraries = os.pathsep.join(filter(None, [str(path.parent), os.environ.get("LD_LIBRARY_PATH")]))
    try:
        process = subprocess.Popen(
            [str(path), phase],
            bufsize=0,
            cwd=path.parent,
            env={**os.environ, "LD_LIBRARY_PATH": libraries},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    except OSError as error:
        raise DataError(
            f"the {program} cannot be started on this node: {error.strerror}; it must be made for this "
            "system, and a script's first line must name an interpreter that is here"
        ) from error
    running = RunningProgram(process, program)
    try:
        yield running
    finally:
        running.end()


class RunningProgram:
    """A program, and the three pipes to it."""

    def __init__(self, process: subprocess.Popen[bytes], program: ExternalProgram) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._process = process
        self._name = str(program)
        self._stdin, self._stdout, self._stderr = process.stdin, process.stdout, process.stderr
        self._lists = IncomingLists(self._name, text=program.text)
        self._lines = StderrLines()
        self._outgoing = bytearray(program.params)
        self._sent_all = False  # nothing more will be added to it
        self._is_deaf = False  # it stopped reading before it had all
        self._is_mute = False  # it will give out nothing more
        self._pipes = selectors.DefaultSelector()
        for pipe in (self._stdin, self._stdout, self._stderr):
            os.set_blocking(pipe.fileno(), False)
        self._pipes.register(self._stdout, selectors.EVENT_READ, self._read)
        self._pipes.register(self._stderr, selectors.EVENT_READ, self._listen)

    # -- what a map and a reduce do with it

    def answers(self, entries: Iterable[Any]) -> Iterator[list[Pair] | Refused]:
        """For each entry of a map the pairs that the program answers, or that it refuses it. Some entries are
        under way at a time.

        May be called for one input after the other. Raises ``ProgramError`` when the program dies or breaks
        the protocol, ``DataError`` when a signal killed it; an error of ``entries`` comes behind the answers
        to the entries before it.
        """
        entries = iter(entries)
        trouble: Exception | None = None
        waiting: deque[Any] = deque()
        more = True
        while waiting or more:
            while more and len(waiting) < _AHEAD_ENTRIES and len(self._outgoing) < _AHEAD_BYTES:
                try:
                    entry = next(entries)
                    self._outgoing += packed(*entry_pair(entry))
                    waiting.append(taken(entry))  # the reader may fill it again
                except StopIteration:
                    more = False
                except TaskTimeout:
                    raise
                except Exception as error:  # noqa: BLE001  the reader's own, raised below
                    trouble, more = error, False
            while waiting and not self._lists.complete:
                self._step()
                if self._is_mute and not self._lists.complete:
                    raise self._death("before it had answered every pair")
            while self._lists.complete:
                if not waiting:
                    raise self._too_many()
                entry, answer = waiting.popleft(), self._lists.complete.popleft()
                yield Refused(entry, answer.why) if isinstance(answer, Refusal) else answer
        if trouble is not None:
            raise trouble

    def finish_map(self) -> None:
        """Behind the last answer: let the program end, and see how. One that goes on will be killed."""
        self._sent_all = True
        deadline = time.monotonic() + GRACE_S
        while not self._is_over() and time.monotonic() < deadline:
            self._step()
        if self._lists.complete or self._lists.is_inside:
            raise self._too_many()
        if self._process.poll():
            raise self._death("after its last list")
        self._hear_out()

    def reduced(self, pairs: Iterable[Pair]) -> Iterator[Pair]:
        """The pairs that a reduce gives out while it is sent ``pairs``, and until it exits."""
        pairs = iter(pairs)
        while not self._is_over():
            while not self._sent_all and not self._is_deaf and len(self._outgoing) < _AHEAD_BYTES:
                pair = next(pairs, None)
                if pair is None:
                    self._sent_all = True
                else:
                    self._outgoing += packed(*pair)
            self._step()
            yield from self._lists.drain()
        if self._process.poll():
            raise self._death("before its end")
        if self._lists.is_inside:
            raise self._death("in the middle of a list")
        if self._is_deaf or self._outgoing or not self._sent_all:
            raise self._death("before it had read every pair")
        self._hear_out()

    def end(self) -> None:
        """Kill the program, and what it started, if it is still there; close the pipes."""
        if self._process.poll() is None:
            _kill(self._process.pid)
        self._process.wait()
        self._lines.flush()
        self._pipes.close()
        for pipe in (self._stdin, self._stdout, self._stderr):
            pipe.close()

    # -- the pipes

    def _step(self) -> None:
        """Move bytes wherever they can go; wait a little until they can somewhere."""
        self._ask_to_write()
        ready = self._pipes.select(_END_LOOK_S) if self._pipes.get_map() else []
        for key, _ in ready:
            key.data()
        if ready:
            return
        if not self._pipes.get_map():  # it has closed them all: it must be about to end
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_LOOK_S)
        if self._process.poll() is not None:
            self._is_mute = True

    def _ask_to_write(self) -> None:
        """Have the selector look at stdin while there is something for it, and close it at the end."""
        if self._stdin.closed:
            return
        asked = self._stdin in self._pipes.get_map()
        if self._outgoing and not asked:
            self._pipes.register(self._stdin, selectors.EVENT_WRITE, self._write)
        elif not self._outgoing and asked:
            self._pipes.unregister(self._stdin)
        if self._sent_all and not self._outgoing:
            self._stdin.close()

    def _write(self) -> None:
        try:
            del self._outgoing[: os.write(self._stdin.fileno(), self._outgoing)]
        except BrokenPipeError:
            self._is_deaf = True
            self._drop(self._stdin)

    def _read(self) -> None:
        data = os.read(self._stdout.fileno(), _READ_BYTES)
        if data:
            self._lists.feed(data)
        else:
            self._is_mute = True
            self._drop(self._stdout)

    def _listen(self) -> None:
        data = os.read(self._stderr.fileno(), _READ_BYTES)
        if data:
            self._lines.feed(data)
        else:
            self._drop(self._stderr)

    def _drop(self, pipe: IO[bytes]) -> None:
        self._pipes.unregister(pipe)
        pipe.close()

    # -- its end

    def _is_over(self) -> bool:
        return self._is_mute and self._process.poll() is not None

    def _death(self, when: str) -> Exception:
        """Why the program has ended, or gives out nothing more, with its last words."""
        deadline = time.monotonic() + GRACE_S
        while self._pipes.get_map() or self._process.poll() is None:
            if time.monotonic() > deadline or (self._process.poll() is not None and not self._hears_more()):
                break
            self._step()
        status = self._process.poll()
        if status is not None and status >= 0:
            self._lines.finish()
        self._lines.flush()
        if status is None:
            how = "closed its stdout"
        elif status < 0:
            how = f"was killed by signal {-status} ({_signal_name(-status)})"
        else:
            how = f"ended with exit status {status}"
        words = self._lines.last_words
        text = f"the {self._name} {how} {when}" + (f"; its last words: {words}" if words else "")
        # Whatever kills a process of a task may be the node's fault: lack of memory, an operator.
        return DataError(text) if status is not None and status < 0 else ProgramError(text)

    def _hear_out(self) -> None:
        """What a program that has ended said last: it may be that the job has failed."""
        deadline = time.monotonic() + GRACE_S
        while self._hears_more() and time.monotonic() < deadline:
            self._listen()
        if self._process.poll() is not None:
            self._lines.finish()

    def _hears_more(self) -> bool:
        return any(key.fileobj is self._stderr for key, _ in self._pipes.select(0))

    def _too_many(self) -> ProgramError:
        return ProgramError(f"the {self._name} gives out more lists than it gets pairs")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"


def _kill(pid: int) -> None:
    """Kill the process and its descendants."""
    with suppress(psutil.Error):
        program = psutil.Process(pid)
        for process in (program, *program.children(recursive=True)):
            with suppress(psutil.Error):
                process.kill()
