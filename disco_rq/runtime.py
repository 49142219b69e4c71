"""The runtime API: the names that job functions may use, with or without importing them.

They work while a task runs, anywhere in its code, and raise ``NotInTask`` elsewhere.
"""

from __future__ import annotations

import builtins
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol

from disco_rq.errors import (
    BadEntryError,
    ConnectionLost,
    DataError,
    DiscoError,
    JobFailure,
    MessageQuotaExceeded,
    NotInTask,
    OOBKeyExists,
    OOBKeyInvalid,
    OOBNotFound,
    OOBNotReadable,
    OOBQuotaExceeded,
)
from disco_rq.model import (
    COUNTER_MAX_CHARS,
    COUNTER_QUOTA,
    MSG_MAX_CHARS,
    MSG_QUOTA,
    OOB_BYTES,
    OOB_KEY,
    OOB_QUOTA,
    JobSpec,
    Phase,
    TaskId,
    readable,
    shown,
)
from disco_rq.oobvalues import typed
from disco_rq.redact import redact

__all__ = [
    "counter",
    "data_err",
    "err",
    "get",
    "msg",
    "put",
    "skip_entry",
    "this_host",
    "this_input",
    "this_inputs",
    "this_master",
    "this_name",
    "this_offset",
    "this_partition",
]


class Services(Protocol):
    """What a task's runtime needs from the outside; the worker's answers come from Redis."""

    def put(self, key: str, typed_value: bytes, count: int, /) -> int:
        """0 stored, 1 the key exists, 2 over the quota, 3 the attempt is not ours any more."""

    def get(self, key: str, phase: Phase | None) -> Any:
        """A committed result of this job; ``KeyError`` if there is none."""

    def get_from(self, job: str, key: str) -> Any:
        """A result of another job that has ended; ``OOBNotFound``, ``OOBNotReadable``."""

    def take_back(self, keys: Sequence[str], /) -> None:
        """Of what this attempt has put. Another may put these keys now."""

    def message(self, text: str, /) -> int:
        """1 sent, 0 dropped."""

    def bad_elsewhere(self) -> int:
        """Bad entries of the job's other tasks, as far as these are committed."""


class LeavesOut(Protocol):
    """A map of a job that may have bad entries."""

    def by_reader(self, entry: object, why: str, url: str, offset: int) -> None:
        """``BadEntryError`` if that is one too many."""

    def now_gives(self, byte_of: Callable[[int], int], *, only_last: bool) -> None:
        """Where entries begin: see ``entries_begin``."""


@dataclass(slots=True)
class Effects:
    """What a map has done at one entry, besides pairs."""

    counted: dict[str, int | None] = field(default_factory=dict)  # by counter, what it was before
    puts: list[tuple[str, int]] = field(default_factory=list)  # key, bytes
    skipped: list[tuple[object, str]] = field(default_factory=list)  # what was told to skip_entry
    are_some: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """What a map reads now."""

    url: str | None = None
    offset: int = 0  # the byte at which its piece begins
    length: int | None = None  # of the piece; None: to the end
    head: Callable[[int], bytes] | None = None  # the first bytes of the file, also for a piece further on


class Overtaken(BaseException):
    """This attempt is not the task's any more; it ends silently. Not an ``Exception``: user code must not
    catch it.
    """


@dataclass(slots=True)
class RunningTask:
    """The task that this process runs now, as the runtime API sees it."""

    spec: JobSpec
    task: TaskId
    host: str
    master: Callable[[], str]
    inputs: Callable[[], Sequence[str]]
    services: Services
    counters: Counter[str] = field(default_factory=Counter)
    puts: int = 0
    put_bytes: int = 0  # of keys and values
    reading: Reading = Reading()
    instead: dict[str, str] = field(
        default_factory=dict
    )  # the replica that is read, by the one that was to be
    doom: DiscoError | None = None  # ends the attempt even if the job function caught it
    leaves_out: LeavesOut | None = None  # None: no entry may be bad
    effects: Effects | None = None  # while the map is at an entry that may be bad
    pid: int = field(default_factory=os.getpid)
    lock: threading.Lock = field(default_factory=threading.Lock)  # a task may use threads

    def take_back(self, effects: Effects) -> None:
        """Undo what was done at an entry."""
        with self.lock:
            for name, before in effects.counted.items():
                if before is None:
                    del self.counters[name]
                else:
                    self.counters[name] = before
            if effects.puts:
                self.services.take_back([key for key, _ in effects.puts])
                self.puts -= len(effects.puts)
                self.put_bytes -= sum(size for _, size in effects.puts)


COUNTER_MAX = 2**63 - 1
"""Redis counts in 64 bits."""


_running: RunningTask | None = None


def _task(name: str) -> RunningTask:
    if _running is None:
        raise NotInTask(f"{name}() works only in a job function, while a task runs it")
    return _running


def enter_task(task: RunningTask | None) -> None:
    """Make ``task`` the one that the names speak of; None: none."""
    global _running
    _running = task


def is_in_task() -> bool:
    """Whether a task runs in this process."""
    return _running is not None


def has_put_or_counted() -> bool:
    """Whether the task that runs has left anything besides pairs so far."""
    return _running is not None and bool(_running.puts or _running.counters)


def install_names() -> None:
    """Let every function of this process find the runtime names, unless its own module defines them.

    Python looks a name up in the function's module first and in the builtins next, which is the very rule: so
    the names go there, and reach the helpers that a job function calls, in whatever module, too.
    """
    for name in __all__:
        setattr(builtins, name, globals()[name])


@contextmanager
def installed_names() -> Iterator[None]:
    """Like ``install_names``, for a while: afterwards the builtins are as before."""
    before = dict(vars(builtins))
    install_names()
    try:
        yield
    finally:
        vars(builtins).update(before)
        for name in vars(builtins).keys() - before.keys():
            delattr(builtins, name)


def put(key: str, value: Any) -> None:
    """Store an out-of-band result of the job, visible when this task succeeds.

    ``key``: 1 to 256 of ``[a-zA-Z_\\-:0-9]``, unique in the job. ``value``: str, bytes, or anything that JSON
    gives back equal; at most ``oob_value_limit`` bytes. Raises ``OOBKeyInvalid``, ``OOBKeyExists``,
    ``OOBValueInvalid``, and ``OOBQuotaExceeded`` from the 1,001st result of a task on, or when its results
    would take more than 16 MiB in all (or than ``oob_value_limit``, if that is more).
    """
    task = _task("put")
    if not isinstance(key, str) or not OOB_KEY.fullmatch(key):
        shown = repr(key) if len(repr(key)) <= 80 else repr(key)[:77] + "..."
        raise OOBKeyInvalid(
            f"OOB key {shown}: a key is a str of 1 to 256 characters, each one of a-z A-Z 0-9 _ - :"
        )
    typed_value = typed(key, value, task.spec.oob_value_limit)
    size = len(key) + len(typed_value)
    most = max(
        OOB_BYTES, task.spec.oob_value_limit + len(key) + 1
    )  # one value of the job's own limit always fits
    with task.lock:
        if task.put_bytes + size > most:
            raise OOBQuotaExceeded(
                f"OOB key {key!r}: the results of a task may take {most >> 20} MiB in all, and those of "
                f"{task.task} would have {task.put_bytes + size} bytes"
            )
        try:
            code = task.services.put(key, typed_value, task.puts + 1)
        except ConnectionLost as error:
            task.doom = error  # nobody knows whether it is stored: this attempt must not count
            raise
        if code == 0:
            task.puts += 1
            task.put_bytes += size
            if task.effects is not None:
                task.effects.puts.append((key, size))
                task.effects.are_some = True
            return
    if code == 1:
        raise OOBKeyExists(f"OOB key {key!r} was put before in job {task.spec.name}")
    if code == 2:
        raise OOBQuotaExceeded(f"OOB key {key!r}: a task may put {OOB_QUOTA} results, and {task.task} has")
    raise Overtaken


def get(key: str, job: str | None = None) -> Any:
    """The OOB result under ``key``, as the type that was put.

    Without ``job``: of this job, in a reduce only, from what the map phase put. With the name of a job: of
    that job, once it has ended. Raises ``OOBNotFound`` and ``OOBNotReadable``.
    """
    task = _task("get")
    if not isinstance(key, str):
        raise OOBKeyInvalid(f"OOB key {shown(key)}: a key is a str")
    if job is not None and job != task.spec.name:
        return task.services.get_from(job, key)
    if task.task.phase != "reduce":
        raise OOBNotReadable(
            f"OOB key {key!r}: the results of the own job can be read in its reduce, not in a map"
        )
    try:
        return task.services.get(key, "map")
    except KeyError:
        raise OOBNotFound(f"job {task.spec.name} has no OOB result {key!r} from its map phase") from None


def msg(message: object) -> None:
    """Send a line to the job's history (web page, ``disco-rq events``); cut at 255 characters.

    A job may send 10 a second over all its tasks; more are dropped and counted, or end the job with
    ``MessageQuotaExceeded`` if it was submitted with ``msg_overflow="fail"``.
    """
    task = _task("msg")
    text = readable(" ".join(str(message).splitlines()))[:MSG_MAX_CHARS]
    if task.services.message(text) == 0 and task.spec.msg_overflow == "fail":
        task.doom = MessageQuotaExceeded(
            f"more than {MSG_QUOTA} messages in a second; the one too many: {text!r}"
        )
        raise task.doom


def counter(name: str, n: int = 1) -> None:
    """Add ``n`` to a counter of the job. Counted when this task succeeds, so a re-run never counts twice.

    A name has at most 256 characters, a task at most 1,000 counters: ``ValueError`` beyond.
    """
    task = _task("counter")
    if not isinstance(name, str) or not name or not isinstance(n, int):
        raise TypeError(f"counter({name!r}, {n!r}): it takes a name, a str, and a whole number")
    name = readable(name)
    if len(name) > COUNTER_MAX_CHARS:
        raise ValueError(f"counter {name[:80]!r}…: a name has at most {COUNTER_MAX_CHARS} characters")
    with task.lock:
        if name not in task.counters and len(task.counters) >= COUNTER_QUOTA:
            raise ValueError(
                f"counter {name!r}: a task may have {COUNTER_QUOTA} counters, and {task.task} has"
            )
        before = task.counters.get(name)
        total = (before or 0) + n
        if abs(total) > COUNTER_MAX:
            raise OverflowError(f"counter {name!r}: {total} is out of the range of 64 bits")
        if task.effects is not None:
            task.effects.counted.setdefault(name, before)
            task.effects.are_some = True
        task.counters[name] = total


def err(message: object) -> NoReturn:
    """End the job at once, with ``message`` as the cause. Raises ``JobFailure``."""
    _task("err")
    raise JobFailure(str(message))


def data_err(message: object, url: str | None = None) -> NoReturn:
    """Give this attempt up: the task is re-run on another node, or with the next replica. Raises
    ``DataError``.
    """
    _task("data_err")
    raise DataError(str(message), url)


def skip_entry(entry: object, why: str = "") -> None:
    """Leave an entry out that cannot be used: of a map the one that it is at, of a reader another one.

    Of its pairs, counters and OOB results nothing counts, whenever they came; of a batch what is named is
    left out, and the rest counts. Kept among the job's bad entries. Raises ``BadEntryError``, which ends the
    job, where there are more than ``max_bad`` allows; in a reduce always.
    """
    task = _task("skip_entry")
    if os.getpid() != task.pid:
        raise BadEntryError("skip_entry cannot be called in a process that the task has forked")
    if task.effects is not None:
        task.effects.skipped.append((_as_it_is(entry), why))
        task.effects.are_some = True
    else:
        leave_out(entry, why, task.reading.url or "", task.reading.offset)


def _as_it_is(entry: object) -> object:
    """Safe from later changes, if it can be copied: it is kept when the map is done with it."""
    try:
        return deepcopy(entry)
    except Exception:  # noqa: BLE001  whatever an object in it raises
        return entry


def leave_out(entry: object, why: str, url: str, offset: int) -> None:
    """What ``skip_entry`` does, for a reader, which knows where the entry begins, and runs without a task,
    too.
    """
    if _running is not None and _running.leaves_out is not None:
        _running.leaves_out.by_reader(entry, why, url, offset)
        return
    place = f"{redact(url)}, byte {offset}: " if url else ""
    is_map = _running is not None and _running.task.phase == "map"
    hint = "; the job allows no bad entries (max_bad=0)" if is_map else ""
    error = BadEntryError(f"{place}{f'{why}: ' if why else 'a bad entry: '}{shown(entry)}{hint}")
    if _running is not None:
        _running.doom = error
    raise error


def entries_begin(byte_of: Callable[[int], int], *, only_last: bool = False) -> None:
    """For readers: ``byte_of(n)`` is the byte at which the entry begins that comes as the n-th from here on,
    counted from 0; ``only_last``: of the last one that was given, whatever n. For errors.
    """
    if _running is not None and _running.leaves_out is not None:
        _running.leaves_out.now_gives(byte_of, only_last=only_last)


def running_task() -> RunningTask | None:
    """The task that this process runs now."""
    return _running


def this_partition() -> int:
    """Map: the number of this map, in ``[0, nr_maps)``. Reduce: its partition, in ``[0, nr_reduces)``."""
    return _task("this_partition").task.index


def this_host() -> str:
    """Name of the node that runs this task."""
    return _task("this_host").host


def this_master() -> str:
    """``"host:port"`` of the master's HTTP address; empty if it serves no page."""
    return _task("this_master").master()


def this_inputs() -> list[str]:
    """Addresses of this task's inputs; of a reduce: of the map outputs."""
    task = _task("this_inputs")
    return [task.instead.get(url, url) for url in task.inputs()]


def this_input() -> str | None:
    """The address that this map reads now, also where a task has several; None in a reduce."""
    return _task("this_input").reading.url


def this_offset() -> int:
    """The byte of ``this_input()`` at which this task's piece begins; 0 in a reduce and in packed files. Of a
    list or stream of Redis the number of its first element here.

    Entries are counted from there: ``tail -c +N``, with N one more, begins with the first one.
    """
    return _task("this_offset").reading.offset


def now_reads(reading: Reading, *, instead_of: str | None = None) -> None:
    """From here on the running task reads this; perhaps a replica of another address."""
    if _running is not None:
        _running.reading = reading
        if instead_of not in (None, reading.url):
            _running.instead[str(instead_of)] = str(reading.url)


def is_read_now() -> Reading:
    """What the running task reads; outside a task a file from its start to its end."""
    return _running.reading if _running is not None else Reading()


def reads_start() -> bool:
    """Whether what is read now begins with the start of its file; so does all that is read outside a task."""
    return is_read_now().offset == 0


def this_name() -> str:
    """The job's name."""
    return _task("this_name").spec.name
