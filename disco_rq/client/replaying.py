"""One replay: an attempt like any other, which writes into a directory of its own and tells nobody."""

from __future__ import annotations

import json
import threading
from bdb import BdbQuit
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from disco_rq.attempt.place import Place
from disco_rq.attempt.postmortem import post_mortem
from disco_rq.attempt.program import Program
from disco_rq.attempt.running import Outcome, Running, TaskInput, Turn, run_attempt
from disco_rq.attempt.stored import InputsMissing, StoredFeed, StoredRanges
from disco_rq.attempt.timelimit import time_limit
from disco_rq.client.agreement import Made
from disco_rq.client.replayservices import ReplayRanges, ReplayServices
from disco_rq.client.replaytarget import Target, Verdict
from disco_rq.client.session import Session
from disco_rq.errors import ConnectionLost, CorruptData, DiscoError
from disco_rq.func import netstr_reader, netstr_writer, object_reader, object_writer
from disco_rq.outputs.adopted import output_task
from disco_rq.outputs.datadir import DataDir, Scratch
from disco_rq.records import OpaqueStream, all_blocks, read_pairs, read_with
from disco_rq.saving import upload
from disco_rq.store.attempts import Attempt, AttemptStore
from disco_rq.store.givenkeys import GivenKeys
from disco_rq.store.nodes import master_address

__all__ = ["Replayed", "Replaying"]

_READERS: tuple[tuple[Any, Any], ...] = ((object_writer, object_reader), (netstr_writer, netstr_reader))


@dataclass(slots=True)
class Replayed:
    """What came of it: see ``Replay``."""

    puts: dict[str, Any]
    messages: list[str]
    error: BaseException | None
    verdict: Verdict
    pairs: list[tuple[Any, Any]] = field(default_factory=list)
    written: bytes = b""
    counters: dict[str, int] = field(default_factory=dict)
    left_out: int = 0


class Replaying:
    """Runs a task. The caller has entered a directory of its own."""

    def __init__(
        self, session: Session, program: Program, target: Target, data: DataDir, scratch: Scratch
    ) -> None:
        self._session = session
        self._store = AttemptStore(session.connection)
        self._program = program
        self._target = target
        self._data = data
        self._scratch = scratch
        attempt = Attempt(program.spec.name, target.task, max(target.number, 1), target.node, "replay")
        self._attempt = attempt
        self._services = ReplayServices(session.connection, attempt)

    def run(
        self, task_input: TaskInput, entry: int | None, *, pdb: bool, notes: Sequence[str] = ()
    ) -> Replayed:
        """``pdb``: the debugger waits where the task raises, while all that it has is still there, and tells
        the ``notes``.
        """
        turn = self._turn(task_input, entry, pdb=pdb)
        outcome, made, error = self._run(turn, notes if pdb else None)
        if entry is not None:
            if outcome is not None and not outcome.result.entries_in:
                raise DiscoError(f"{turn.task} has no entry {entry}")
            verdict = Verdict(None, None, [f"it was given entry {entry} only: nothing is compared"])
        else:
            verdict = self._target.verdict(self._session, self._program.spec, made, error)
        done = Replayed(self._services.puts, self._services.messages, error, verdict)
        if outcome is not None and made is not None:
            done.pairs, done.written = _written(made.records, turn)
            done.counters = dict(outcome.result.counters)
            done.left_out = json.loads(outcome.result.left_out or '{"n": 0}')["n"]
        return done

    def _turn(self, task_input: TaskInput, entry: int | None, *, pdb: bool) -> Turn:
        """Results that are saved are saved here, later. Where one entry is looked at, or the debugger is to
        stop, no entry may be bad.
        """
        program, attempt = self._program, self._attempt
        spec = replace(program.spec, save=None, save_format=None, has_save_by=False, profile=False)
        if entry is not None or pdb:
            spec = replace(spec, max_bad=0)
        turn = Turn(spec, program.unpacked, attempt.task, attempt.number, task_input, entry)
        return turn.after(self._store.failed_inputs(spec.name, attempt.task)[: attempt.number - 1])

    def _run(
        self, turn: Turn, notes: Sequence[str] | None
    ) -> tuple[Outcome, Made, None] | tuple[None, None, BaseException]:
        spec = self._program.spec
        try:
            outcome = run_attempt(turn, self._place(), self._outside(has_limit=notes is None))
            return outcome, self._made(turn, outcome), None
        except (KeyboardInterrupt, BdbQuit, ConnectionLost):
            raise
        except InputsMissing:
            raise DiscoError(
                f"{turn.task} cannot be replayed: not all maps of {spec.name} are done"
            ) from None
        except BaseException as error:  # the boundary around user code: sys.exit() too
            if isinstance(error, CorruptData) and output_task(spec, error.url):
                raise  # nothing that the task has done
            if notes is not None:
                post_mortem(error, notes)
            return None, None, error

    def _place(self) -> Place:
        keys = GivenKeys(self._session.connection)
        return Place(self._attempt.node, self._data, self._scratch, self._session.locator, lambda _: keys)

    def _outside(self, *, has_limit: bool) -> Running:
        connection, program = self._session.connection, self._program
        spec, seal = program.spec, program.seal
        is_main = threading.current_thread() is threading.main_thread()  # signals reach no other
        return Running(
            services=self._services,
            feed=StoredFeed(self._store, spec, self._attempt.task, seal),
            ranges=ReplayRanges(StoredRanges(connection, spec, seal)),
            master=partial(master_address, connection),
            status=lambda _text: None,
            limit=time_limit(spec.task_timeout) if is_main and has_limit else nullcontext(),
        )

    def _made(self, turn: Turn, outcome: Outcome) -> Made:
        spec, task, number = self._program.spec, turn.task, turn.number
        records, saved = self._data.output(spec.name, task, number), ""
        if spec.saves(task):
            here = replace(spec, save=f"file://{self._data.root / 'saved'}")
            save_by = turn.functions.save_by
            saved = upload(here, task, number, records, self._scratch.directory, save_by=save_by)
        result = outcome.result
        return Made(records, saved, result.digests, self._services.puts, result.counters)


def _written(records: Path, turn: Turn) -> tuple[list[tuple[Any, Any]], bytes]:
    """The pairs of an output, or the bytes that a writer of the job's own wrote."""
    functions = turn.functions
    writer = functions.map_writer if turn.task.phase == "map" else functions.reduce_writer
    if writer is None:
        return list(read_pairs(records)), b""
    for known, reader in _READERS:
        if writer is known:
            return list(read_with(reader, records)), b""
    return [], OpaqueStream(all_blocks(records, records.name), records.name).readall() or b""
