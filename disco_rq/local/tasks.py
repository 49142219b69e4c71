"""The tasks of a job, one after the other in this process: attempts, retries, and what the runtime API keeps.

What a worker, its Redis scripts and the planner do for a cluster, without any of them; planning, stages,
shuffle and files are the same code.
"""

from __future__ import annotations

import json
import os
import threading
from bdb import BdbQuit
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

from disco_rq.attempt.place import Place
from disco_rq.attempt.ranges import Unheard
from disco_rq.attempt.running import Running, TaskInput, Turn, run_attempt
from disco_rq.attempt.surroundings import forget_modules, restored
from disco_rq.attempt.timelimit import time_limit
from disco_rq.attempt.usercode import describe, failure_kind
from disco_rq.client.facts import describe_death
from disco_rq.client.partitioned import PARTITIONED, with_ranges
from disco_rq.client.submission import Submission
from disco_rq.errors import BadEntryError, JobError, JobFailure
from disco_rq.inputs.rediskeys import KeysAt
from disco_rq.local.record import NODE, LocalRecord
from disco_rq.local.services import LocalServices
from disco_rq.model import Input, MapInput, TaskId
from disco_rq.outputs.datadir import DataDir
from disco_rq.outputs.locator import Locator
from disco_rq.packing import JobSeal, unpack_functions
from disco_rq.records import changed_partitions
from disco_rq.runtime import enter_task
from disco_rq.saving import final_address, is_saved, publish
from disco_rq.settings import Settings
from disco_rq.store.attempts import Failure
from disco_rq.store.badentries import Causes, is_too_much, left_out_text, too_many_text
from disco_rq.store.deaths import death_text, failure_text

__all__ = ["LocalTasks"]


TO_BE_LOOKED_AT = 0
"""Number of an attempt that is run to be looked at: no other one has it. It leaves nothing."""


class LocalTasks:
    """Runs the tasks of one job to its end."""

    def __init__(
        self,
        submission: Submission,
        data: DataDir,
        locator: Locator,
        other_jobs: Callable[[str], LocalRecord],
        keys_at: KeysAt,
    ) -> None:
        """``other_jobs`` finds a job that has ended; ``OOBNotFound``."""
        self._spec = submission.spec
        word = with_ranges(self._spec.details.get(PARTITIONED) or "", "")
        self.record = LocalRecord(self._spec.name, partitioned=word)
        self._pack = submission.pack
        self._functions = submission.functions
        self._inputs = submission.inputs
        self._place = Place(NODE, data, data.scratch("local", os.getpid()), locator, keys_at)
        self._other_jobs = other_jobs
        self._ranges: bytes | None = None
        self._written: Counter[int] = Counter()  # bytes of each partition, by all maps
        self._reduce = 0
        self._causes = Causes()  # of bad entries
        self._master = Settings.from_env().http

    def run(self) -> None:
        """Every map, then every reduce. Raises ``JobError`` with the cause, as ``wait`` does."""
        spec, record = self._spec, self.record
        nr_reduces = spec.nr_reduces if spec.has_reduce else 0
        record.tell("master", f"Job submitted: {spec.nr_maps} maps, {nr_reduces} reduces")
        if note := self._inputs.note():
            record.tell("master", note)
        if spec.has_map and not self._inputs:
            record.tell("master", "Job is ready: its input was empty")
            return
        self._place.scratch.directory.mkdir(parents=True)
        try:
            with restored():
                self._run_phases(nr_reduces)
        finally:
            forget_modules(self._place.data.required(spec.name))
            self._place.scratch.remove()
        record.tell("master", "Job is ready")

    def _run_phases(self, nr_reduces: int) -> None:
        name, aside = self._spec.name, self._place.scratch.required
        required = self._place.data.required(name)
        unpacked = unpack_functions(
            self._pack, JobSeal(name, None), spec=self._spec.pack(), directory=required, aside=aside
        )
        # The functions themselves, not copies of them: so breakpoints stop.
        self._unpacked = replace(unpacked, functions=self._functions)
        os.chdir(self._place.scratch.directory)
        if self._spec.has_map:
            for index, task_input in enumerate(self._inputs):
                self._task(TaskId("map", index), task_input)
            self.record.tell("master", "Map phase done")
        for partition in range(nr_reduces):
            self._reduce = partition
            self._task(TaskId("reduce", partition), "reduce")

    def _task(self, task: TaskId, task_input: TaskInput) -> None:
        """Attempts until one succeeds, or no more are allowed."""
        failures: list[dict[str, Any]] = []
        failed: list[str] = []
        survives = {"data": self._spec.max_failures, "error": self._spec.task_retries}
        while True:
            number = len(failures) + 1
            try:
                with restored():
                    self._attempt(task, number, task_input, failed)
                return
            except (KeyboardInterrupt, BdbQuit):  # the person at the keyboard, not the job
                raise
            except BaseException as error:  # the boundary around user code: sys.exit() too
                kind, failure = failure_kind(error), describe(error)
                failed.append(failure.url or "")
                failures.append({"node": NODE, "attempt": number, "kind": kind, "message": failure.message})
                text = failure_text(task, number, NODE, failure.message)
                same = sum(one["kind"] == kind for one in failures)
                if same > survives.get(kind, 0):
                    self.record.tell("master", death_text(text))
                    raise self._death(task, failure, failures) from error
                self.record.tell(NODE, text)
            finally:
                self._place.scratch.out.unlink(missing_ok=True)
                self._place.scratch.bad.unlink(missing_ok=True)
                self._place.scratch.empty()

    def _attempt(self, task: TaskId, number: int, task_input: TaskInput, failed: Sequence[str]) -> None:
        spec = self._spec
        turn = Turn(spec, self._unpacked, task, number, task_input).after(failed)
        services = LocalServices(self.record, task, self._other_jobs)
        outside = Running(
            services=services,
            feed=self,
            ranges=self,
            master=lambda: self._master,
            status=lambda text: self.record.tell(NODE, f"{task}: {text}"),
            limit=self._limit(),
        )
        try:
            outcome = run_attempt(turn, self._place, outside)
            if task.phase == "map" and task.index in spec.checked:
                self._check(turn, outside, outcome.result.digests)
        finally:
            enter_task(None)
        if is_saved(outcome.address):
            publish(outcome.address, sync=self._place.fsync)
        self.record.outputs[task] = final_address(outcome.address)
        if spec.profile:
            self.record.profiles.append(self._place.data.profile(spec.name, task, number))
        self.record.oob.update(services.staged)
        self.record.counters.update(outcome.result.counters)
        self._written.update(outcome.result.partition_bytes)
        if outcome.result.left_out:
            self._leave_out(task, number, json.loads(outcome.result.left_out))

    def _limit(self) -> AbstractContextManager[None]:
        is_main = threading.current_thread() is threading.main_thread()  # signals reach no other
        return time_limit(self._spec.task_timeout) if is_main else nullcontext()

    def _check(self, turn: Turn, outside: Running, digests: bytes) -> None:
        """The map once more: nothing that it says is heard. ``JobFailure`` if it gives something else."""
        quiet = replace(turn.spec, save=None, save_format=None, has_save_by=False, profile=False)
        again = replace(turn, spec=quiet, number=TO_BE_LOOKED_AT)
        unheard = replace(
            outside, services=Unheard(outside.services), status=lambda _text: None, limit=self._limit()
        )
        data, name = self._place.data, turn.spec.name
        self._place.scratch.empty()
        try:
            changed = changed_partitions(digests, run_attempt(again, self._place, unheard).result.digests)
        finally:
            data.output(name, turn.task, TO_BE_LOOKED_AT).unlink(missing_ok=True)
            data.bad(name, turn.task, TO_BE_LOOKED_AT).unlink(missing_ok=True)
        if changed:
            what = f"run a second time, it differs in partition {changed[0]}"
            raise JobFailure(f"{turn.task} is not deterministic: {what}")

    def _leave_out(self, task: TaskId, number: int, told: dict[str, Any]) -> None:
        """What a map has left out counts from now on. ``BadEntryError`` if that is too much."""
        record, spec = self.record, self._spec
        record.bad[task] = told["n"], number
        record.nr_read += told["of"]
        self._causes.merge(told["causes"])
        if told["n"]:
            record.tell(NODE, left_out_text(str(task), told["n"], told["causes"]))
        bad = sum(nr_bad for nr_bad, _ in record.bad.values())
        done, read = len(record.outputs), record.nr_read
        if is_too_much(bad, read, spec.max_bad, done=done, nr_maps=spec.nr_maps):
            raise BadEntryError(too_many_text(bad, read, spec.max_bad, self._causes))

    # -- what a reduce reads

    def is_empty(self) -> bool:
        """Whether no map has written anything for the reduce that runs."""
        return not self._written[self._reduce]

    def map_outputs(self) -> list[str]:
        """The addresses of all map outputs."""
        return [self.record.outputs[TaskId("map", index)] for index in range(self._spec.nr_maps)]

    def inputs(self) -> list[Input]:
        """The inputs of a job without a map."""
        return [part[0] for entry in self._inputs for part in entry.parts]

    # -- the ranges of its keys

    def ranges(self) -> bytes | None:
        """As they were fixed, if they were."""
        return self._ranges

    def fix_ranges(self, packed: bytes, digest: str) -> bytes:
        """Fix these."""
        self._ranges = packed
        self.record.partitioned = with_ranges(self._spec.details[PARTITIONED], digest)
        return packed

    def some_inputs(self) -> list[tuple[int, MapInput]]:
        """What the maps read."""
        return list(enumerate(self._inputs))

    def _death(self, task: TaskId, failure: Failure, failures: list[dict[str, Any]]) -> JobError:
        why = {"message": failure.message, "traceback": failure.traceback, "failures": failures}
        cause = {"task": str(task), "attempt": len(failures), "node": NODE, **why}
        return JobError(describe_death(self._spec.name, cause))
