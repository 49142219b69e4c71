"""A task of a job once more, in this process: what it does, and whether that is what it has done.

The job's own signed functions, its own inputs or map outputs, from wherever they lie. Nothing is written to
the cluster: no key, no file.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol

from disco_rq.attempt.program import Program
from disco_rq.attempt.running import TaskInput
from disco_rq.attempt.sourcefiles import find_sources
from disco_rq.attempt.surroundings import forget_modules, restored
from disco_rq.client.replaying import Replayed, Replaying
from disco_rq.client.replaytarget import target_of
from disco_rq.client.session import Session
from disco_rq.errors import DiscoError, OtherVersion, UnknownJob
from disco_rq.machine.redisserver import private_directory
from disco_rq.model import Functions, TaskId
from disco_rq.outputs.datadir import DataDir
from disco_rq.packing import checked_body, open_pack
from disco_rq.runtime import enter_task, installed_names, is_in_task
from disco_rq.store.attempts import AttemptStore
from disco_rq.store.ranges import RangeStore
from disco_rq.version import PROTOCOL, __version__

__all__ = ["Replay", "replay"]

_one_at_a_time = threading.Lock()


@dataclass(frozen=True, slots=True)
class Replay:
    """What a task has done when it ran once more. Nothing of it counts."""

    pairs: list[tuple[Any, Any]]
    """What it has written, partition after partition."""
    puts: dict[str, Any]
    counters: dict[str, int]
    messages: list[str]
    error: BaseException | None
    """What it has raised, with its traceback."""
    agrees: bool | None
    """Whether this is what was committed; None: nothing was, or it cannot be told."""
    attempt: int = 0
    """The attempt that it is compared with; 0: none."""
    fails_alike: bool | None = None
    """Whether it does what that attempt did, which failed; None: that one did not fail by itself."""
    written: bytes = b""
    """What a writer of the job's own wrote, where that is no pairs."""
    left_out: int = 0
    """Bad entries."""
    notes: list[str] = field(default_factory=list)
    """How it compares, and which source files are not here, a line each."""


class ReplayedJob(Protocol):
    """A ``Job``."""

    name: str
    _session: Session

    def story(self, task: str) -> list[dict[str, Any]]: ...


def replay(
    self: ReplayedJob,
    task: str,
    entry: int | None = None,
    attempt: int | None = None,
    *,
    pdb: bool = False,
) -> Replay:
    """Run a task (``map:3``) once more, in this process, and compare. Nothing changes on the cluster.

    With the job's own functions and input, or map outputs, of a job that is not purged. ``entry``: the map is
    given that entry of its input only, numbered as errors and ``bad_entries`` do. ``attempt``: the one to
    compare with (default: the one that counts, else the last one that failed). ``pdb``: the debugger opens
    where the task raises. What the task raises is the replay's ``error``. Raised is why it cannot be run:
    ``UnknownJob``, ``BadSignature``, ``OtherVersion``, ``Unshippable``; ``DataError`` where map outputs
    cannot be read; ``DiscoError``.
    """
    self.story(task)  # raises where there is none
    return _replayed(self._session, self.name, TaskId.parse(task), entry, attempt, pdb=pdb)


def _replayed(
    session: Session, name: str, task: TaskId, entry: int | None, attempt: int | None, *, pdb: bool
) -> Replay:
    if is_in_task():
        raise DiscoError("a task cannot replay another one: it would run in the same process")
    if entry is not None and (task.phase != "map" or entry < 1):
        raise DiscoError(f"entry={entry!r} of {task}: entries are those of maps, counted from 1")
    here = Path.cwd()
    with _one_at_a_time, _workspace() as data, restored(), installed_names():
        scratch = data.scratch("replay", os.getpid())
        scratch.directory.mkdir(parents=True)
        try:
            program, task_input = _opened(session, name, task, data)
            notes = find_sources(_functions_of(program), [here, *_paths()], data.required(name))
            target = target_of(session, program.spec, task, attempt)
            os.chdir(scratch.directory)
            done = Replaying(session, program, target, data, scratch).run(
                task_input, entry, pdb=pdb, notes=notes
            )
        finally:
            enter_task(None)
            forget_modules(data.required(name))
    return _told(done, target.number, notes)


def _told(done: Replayed, attempt: int, notes: list[str]) -> Replay:
    verdict = done.verdict
    return Replay(
        pairs=done.pairs,
        puts=done.puts,
        counters=done.counters,
        messages=done.messages,
        error=done.error,
        agrees=verdict.agrees,
        attempt=attempt,
        fails_alike=verdict.fails_alike,
        written=done.written,
        left_out=done.left_out,
        notes=[*notes, *verdict.notes],
    )


def _opened(session: Session, name: str, task: TaskId, data: DataDir) -> tuple[Program, TaskInput]:
    """The job, as its client has signed it, and what the task reads."""
    found = AttemptStore(session.connection).job(name)
    if found is None:
        raise UnknownJob(f"unknown job {name!r}: nothing is kept of one that was purged")
    spec, pack = found
    if spec.protocol != PROTOCOL:
        raise OtherVersion(
            f"{name} is of protocol {spec.protocol}, and this is disco-rq {__version__}, protocol "
            f"{PROTOCOL}: use the version that the job was submitted with"
        )
    seal = session.signer().seal(name)
    body = checked_body(pack, seal, spec=spec.pack())
    aside = data.scratch("replay", os.getpid()).required
    unpacked = open_pack(body, name, directory=data.required(name), aside=aside)
    program, task_input = Program(spec, unpacked, seal.of_tasks()), _input_of(session, name, task)
    program.check(task, task_input)
    return program, task_input


def _input_of(session: Session, name: str, task: TaskId) -> TaskInput:
    if task.phase == "reduce":
        return "reduce"
    found = RangeStore(session.connection, name).inputs(range(task.index, task.index + 1))
    return found[0][1] if found else "reduce"  # which Program.check refuses


def _functions_of(program: Program) -> Iterator[Any]:
    functions = program.unpacked.functions
    for one in fields(Functions):
        value = getattr(functions, one.name)
        if one.name == "sides":
            yield from (function for side in value for function in side)
        elif value is not None:
            yield value


def _paths() -> Iterator[Path]:
    """Where this process looks for modules."""
    return (Path(path).resolve() for path in sys.path if path and Path(path).is_dir())


@contextmanager
def _workspace() -> Iterator[DataDir]:
    root = private_directory()
    try:
        data = DataDir(root)
        data.prepare()
        yield data
    finally:
        shutil.rmtree(root, ignore_errors=True)
