"""In the horse: run the attempts of a batch, one after the other, and commit them."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from disco_rq.attempt.asking import note_that_nobody_answers, refuse_breakpoints
from disco_rq.attempt.files import merged_sources, opener_with, place_output
from disco_rq.attempt.log import AttemptLog
from disco_rq.attempt.timelimit import time_limit
from disco_rq.errors import ConnectionLost, OtherVersion
from disco_rq.machine.terminal import empty_stdin
from disco_rq.model import JobSpec, MapInput, StageResult, TaskId
from disco_rq.outputs.datadir import DataDir
from disco_rq.outputs.fetch import reduce_sources
from disco_rq.outputs.locator import Locator
from disco_rq.outputs.profiles import profiled
from disco_rq.outputs.remote import patience_of
from disco_rq.packing import UnpackedJob, unpack_functions
from disco_rq.runtime import Overtaken, RunningTask, enter_task
from disco_rq.stages import TaskWork, run_map, run_reduce
from disco_rq.store.attempts import Attempt, AttemptStore, Commit
from disco_rq.store.connection import Connection
from disco_rq.store.nodes import master_address, node_about
from disco_rq.version import PROTOCOL, __version__
from disco_rq.worker.commits import Commits
from disco_rq.worker.endings import Endings, profile_of
from disco_rq.worker.horse import Progress, leftovers
from disco_rq.worker.rehearsal import rehearse
from disco_rq.worker.services import TaskServices

log = logging.getLogger("disco_rq.execution")

SMALL_BYTES = 64 << 10
"""Outputs no larger than this wait in memory for their commit, and are written together."""


@dataclass(frozen=True, slots=True)
class Program:
    """A job as this process knows it, unpacked once for all its tasks here."""

    spec: JobSpec
    unpacked: UnpackedJob


class InputsMissing(BaseException):
    """An output of the map phase was lost after this reduce was assigned. Not for user code to catch."""


class Executor:
    """Runs batches for one worker. One job at a time: its modules and globals stay in this process."""

    def __init__(
        self,
        connection: Connection,
        *,
        node: str,
        worker: str,
        data: DataDir,
        secret: bytes | None,
        progress: Progress,
    ) -> None:
        self._connection = connection
        self._store = AttemptStore(connection)
        self._node = node
        self._worker = worker
        self._data = data
        self._secret = secret
        self._progress = progress
        self._locator = Locator(
            lambda other: node_about(connection, other), own=(node, data.root), secret=secret
        )
        self._programs: dict[str, Program] = {}
        self._scratch = data.scratch(worker, os.getpid())
        self._workplace, self._aside = str(self._scratch.directory), self._scratch.out
        self._log = AttemptLog(self._scratch.log)
        self._endings = Endings(self._store, data, node=node, spec_of=self._spec_of)
        self._commits = Commits(self._store, data, self._scratch.out, self._endings)

    def prepare(self) -> None:
        """Once in a new process: its own working directory, no input, its output to the attempt's log."""
        directory = self._scratch.directory
        directory.mkdir(parents=True)
        os.chdir(directory)
        tempfile.tempdir = str(directory)
        os.environ["TMPDIR"] = str(directory)
        empty_stdin()
        refuse_breakpoints()
        self._log.capture()
        self._remember_surroundings()

    def rehearse(self) -> None:
        """Once after ``prepare``, while nobody waits: the first tasks are three times as fast for it."""
        try:
            rehearse(opener_with(self._locator), self._store, self._scratch.directory)
        except Exception as error:  # noqa: BLE001  a full disk, say: what it is, the first task will tell
            log.info("no rehearsal: %s", error, extra={"action": "rehearse"})
        self._scratch.empty()

    def _remember_surroundings(self) -> None:
        """What each attempt finds."""
        self._environment, self._path = dict(os.environ), list(sys.path)
        self._raw_environment = dict(_raw_environment())

    def run_batch(self, job: str, batch: str, tasks: Sequence[tuple[str, int]]) -> None:
        """Claim the batch, and run what was claimed; tell the parent which of its tasks is running.

        An attempt that leaves threads or child processes behind is the last one in this process: the others
        of the batch are handed back.
        """
        claimed = self._store.claim(job, batch, self._worker, tasks)
        left_behind = False
        for i, ((task, number), task_input) in enumerate(zip(tasks, claimed, strict=True)):
            if task_input is None:
                continue
            attempt = Attempt(job, task, number, self._node, self._worker)
            if left_behind:
                self._endings.release(attempt, "the task before it left threads or processes behind")
                continue
            self._progress.begin(i)
            self._run(attempt, task_input)
            left_behind = leftovers()
            self._commits.flush_in_time(now=left_behind)
        self._commits.flush()

    def _run(self, attempt: Attempt, task_input: MapInput | Literal["reduce"]) -> None:
        """One attempt, to its commit (which may wait for others) or to its failure."""
        fields = {"action": "attempt", "job": attempt.job}
        try:
            self._commits.add(self._attempt(attempt, task_input))
        except Overtaken:
            log.warning("%s %s was overtaken", attempt.job, attempt, extra=fields)
            self._keep_log(attempt)
            self._endings.forget_if_gone(attempt)
        except InputsMissing:
            self._endings.release(attempt, "a map is made again first")
        except OtherVersion as error:
            log.warning("%s %s is handed back: %s", attempt.job, attempt, error, extra=fields)
            self._endings.refuse(attempt, error)
        except ConnectionLost:
            raise  # nothing can be told from here
        except BaseException as error:  # noqa: BLE001  the boundary around user code: sys.exit() too
            self._endings.blame_disk(error)
            note_that_nobody_answers(error)
            self._commits.flush()
            self._keep_log(attempt)  # before anybody hears of the failure and looks for it
            self._endings.fail(attempt, error)
        finally:
            enter_task(None)
            self._clean_up(attempt)

    def _attempt(self, attempt: Attempt, task_input: MapInput | Literal["reduce"]) -> Commit:
        program = self._program(attempt.job)
        task = TaskId.parse(attempt.task)
        if task_input != "reduce" and task_input.is_redundant:
            # Each failure drops the replica that was read; when all were, the first one is tried again.
            task_input = task_input.replica(self._store.count_failures(attempt.job, attempt.task))
        running = RunningTask(
            spec=program.spec,
            task=task,
            host=self._node,
            master=partial(master_address, self._connection),
            inputs=lambda: self._input_urls(attempt.job, task_input),
            services=TaskServices(self._connection, self._store, attempt),
        )
        work = TaskWork(
            spec=program.spec,
            functions=program.unpacked.functions,
            params=program.unpacked.params(),
            task=task,
            scratch=self._scratch.directory,
            status=lambda text: self._store.event(attempt.job, self._node, f"{attempt.task}: {text}"),
            memory_bytes=0 if program.spec.saves(task) else SMALL_BYTES,
        )
        aside = self._aside
        if program.unpacked.required:
            program.unpacked.required.link(self._data.required(attempt.job), into=self._scratch.directory)
        started_ms, started = round(time.time() * 1000), time.monotonic()
        enter_task(running)
        try:
            limit_s = program.spec.task_timeout
            self._progress.begin(self._progress.index, limit_s)
            with time_limit(limit_s):
                with profiled(profile_of(self._data, attempt) if program.spec.profile else None):
                    result = self._stage(work, task_input, aside, patience_of(attempt.number))
                if running.doom is not None:
                    raise running.doom
                in_memory = result.content is not None
                address = place_output(
                    work, attempt.number, aside, self._data, self._node, in_memory=in_memory
                )
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
        return Commit(
            attempt=attempt,
            address=address,
            started_ms=started_ms,
            duration_ms=round((time.monotonic() - started) * 1000),
            result=StageResult(
                result.entries_in,
                result.records_out,
                result.bytes_out,
                counters=dict(running.counters),
                content=result.content,
                partition_bytes=result.partition_bytes,
            ),
            puts=running.puts,
        )

    def _stage(
        self, work: TaskWork, task_input: MapInput | Literal["reduce"], out: Path, patience_s: float
    ) -> StageResult:
        if task_input != "reduce":
            return run_map(work, task_input, out, opener=opener_with(self._locator, patience_s))
        if not work.spec.has_map:
            inputs = self._store.inputs(work.spec.name)
            return run_reduce(work, merged_sources(work, inputs, self._locator, patience_s), out)
        outputs = self._store.map_outputs(work.spec.name)
        if len(outputs) < work.spec.nr_maps:
            raise InputsMissing
        addresses = [outputs[i] for i in range(work.spec.nr_maps)]
        sources = reduce_sources(
            self._locator, addresses, work.task.index, work.scratch, patience_s=patience_s
        )
        return run_reduce(work, sources, out)

    def _program(self, job: str) -> Program:
        if job not in self._programs:
            found = self._store.job(job)
            if found is None:
                raise Overtaken  # purged meanwhile
            spec, pack = found
            if spec.protocol != PROTOCOL:
                raise OtherVersion(
                    f"{job} is of protocol {spec.protocol}, node {self._node} has disco-rq {__version__}, "
                    f"protocol {PROTOCOL}: use the same version on both"
                )
            unpacked = unpack_functions(
                pack,
                job=job,
                secret=self._secret,
                directory=self._data.required(job),
                aside=self._scratch.required,
            )
            self._programs = {job: Program(spec, unpacked)}
            if unpacked.required:
                self._remember_surroundings()
        return self._programs[job]

    def _spec_of(self, job: str) -> JobSpec | None:
        return self._programs[job].spec if job in self._programs else None

    def _input_urls(self, job: str, task_input: MapInput | Literal["reduce"]) -> list[str]:
        if task_input != "reduce":
            return task_input.first_urls()
        if not self._program(job).spec.has_map:
            return [entry.url for entry in self._store.inputs(job)]
        outputs = self._store.map_outputs(job)
        return [outputs[i] for i in sorted(outputs)]

    def _keep_log(self, attempt: Attempt) -> None:
        try:
            if self._log.has_content():
                self._log.keep(self._data.log(attempt.job, TaskId.parse(attempt.task), attempt.number))
        except OSError as error:  # a full disk: the attempt itself ends as it did
            fields = {"action": "log", "job": attempt.job}
            log.warning("%s %s: its log is not kept: %s", attempt.job, attempt, error, extra=fields)

    def _clean_up(self, attempt: Attempt) -> None:
        """Nothing of an attempt is there for the next one; what it printed is kept."""
        self._keep_log(attempt)
        self._scratch.directory.mkdir(exist_ok=True)  # a task may have deleted it
        os.chdir(self._workplace)
        self._scratch.empty()
        if _raw_environment() != self._raw_environment:
            os.environ.clear()
            os.environ.update(self._environment)
        sys.path[:] = self._path


def _raw_environment() -> dict[Any, Any]:
    """The environment as Python keeps it, encoded: ``os.environ == …`` decodes all of it, for every task."""
    raw: dict[Any, Any] = vars(os.environ)["_data"]
    return raw
