"""In the horse: run the attempts of a batch, one after the other, and commit them."""

from __future__ import annotations

import logging
import os
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Literal

from disco_rq.attemptlog import AttemptLog
from disco_rq.errors import OOBNotFound, OOBNotReadable, TaskTimeout
from disco_rq.inputs import open_input
from disco_rq.locations import DataDir, Locator, output_address
from disco_rq.model import JobSpec, MapInput, StageResult, TaskId
from disco_rq.packing import UnpackedJob, unpack_functions
from disco_rq.records import FileSource
from disco_rq.runtime import Overtaken, RunningTask, enter_task
from disco_rq.stages import TaskWork, run_map, run_reduce
from disco_rq.store.attempts import Attempt, AttemptStore, Commit, read_oob
from disco_rq.store.connection import Connection
from disco_rq.store.jobs import JobStore
from disco_rq.store.nodes import node_about
from disco_rq.usercode import describe, failure_kind

log = logging.getLogger("disco_rq.execution")

FLUSH_S = 0.02
"""Commits of small tasks are sent together, but none waits longer than this for the next task to end."""


@dataclass(frozen=True, slots=True)
class Program:
    """A job as this process knows it, unpacked once for all its tasks here."""

    spec: JobSpec
    unpacked: UnpackedJob


class Executor:
    """Runs batches for one worker. One job at a time: its modules and globals stay in this process."""

    def __init__(
        self,
        connection: Connection,
        *,
        node: str,
        worker: str,
        data: DataDir,
        master: str,
        secret: bytes | None,
    ) -> None:
        self._connection = connection
        self._store = AttemptStore(connection)
        self._node = node
        self._worker = worker
        self._data = data
        self._master = master
        self._secret = secret
        self._locator = Locator(lambda other: node_about(connection, other), own=(node, data.root))
        self._opener = partial(open_input, resolve=lambda address: str(self._locator.path(address)))
        self._programs: dict[str, Program] = {}
        self._scratch = data.scratch(worker, os.getpid())
        self._log = AttemptLog(self._scratch.log)
        self._commits: list[Commit] = []
        self._first_commit_at = 0.0

    def prepare(self) -> None:
        """Once in a new process: its own working directory, its output to the attempt's log."""
        directory = self._scratch.directory
        directory.mkdir(parents=True)
        os.chdir(directory)
        tempfile.tempdir = str(directory)
        os.environ["TMPDIR"] = str(directory)
        self._log.capture()

    def run_batch(self, job: str, batch: str, tasks: Sequence[tuple[str, int]], progress: Any) -> None:
        """Claim the batch, run what was claimed. ``progress[0]`` says which of its tasks is running, for the
        parent.
        """
        claimed = self._store.claim(job, batch, self._worker, tasks)
        for i, ((task, number), task_input) in enumerate(zip(tasks, claimed, strict=True)):
            if task_input is None:
                continue
            progress[0] = i
            attempt = Attempt(job, task, number, self._node, self._worker)
            try:
                self._commits.append(self._attempt(attempt, task_input))
            except Overtaken:
                log.warning("%s %s was overtaken", job, attempt, extra={"action": "overtaken", "job": job})
            except BaseException as error:  # noqa: BLE001  the boundary around user code: sys.exit() too
                self._flush()
                self._keep_log(attempt)  # before anybody hears of the failure and looks for it
                self._fail(attempt, error)
            finally:
                enter_task(None)
                self._clean_up(attempt)
            if self._commits and time.monotonic() - self._first_commit_at > FLUSH_S:
                self._flush()
        self._flush()

    def _attempt(self, attempt: Attempt, task_input: MapInput | Literal["reduce"]) -> Commit:
        program = self._program(attempt.job)
        task = TaskId.parse(attempt.task)
        running = RunningTask(
            spec=program.spec,
            task=task,
            host=self._node,
            master=self._master,
            inputs=lambda: self._input_urls(attempt.job, task_input),
            services=_TaskServices(self._connection, self._store, attempt),
        )
        work = TaskWork(
            spec=program.spec,
            functions=program.unpacked.functions,
            params=program.unpacked.params(),
            task=task,
            scratch=self._scratch.directory,
            status=lambda text: self._store.event(attempt.job, self._node, f"{attempt.task}: {text}"),
        )
        out = self._data.output(attempt.job, task, attempt.number)
        aside = self._scratch.out
        started_ms, started = round(time.time() * 1000), time.monotonic()
        enter_task(running)
        try:
            with _time_limit(program.spec.task_timeout):
                result = self._stage(work, task_input, aside)
            if running.doom is not None:
                raise running.doom
            _move(aside, out)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
        if not self._commits:
            self._first_commit_at = time.monotonic()
        return Commit(
            attempt=attempt,
            address=output_address(self._node, attempt.job, task, attempt.number),
            started_ms=started_ms,
            duration_ms=round((time.monotonic() - started) * 1000),
            result=StageResult(
                result.entries_in, result.records_out, result.bytes_out, counters=dict(running.counters)
            ),
        )

    def _stage(self, work: TaskWork, task_input: MapInput | Literal["reduce"], out: Path) -> StageResult:
        if task_input != "reduce":
            return run_map(work, task_input, out, opener=self._opener)
        outputs = self._store.map_outputs(work.spec.name)
        sources = [FileSource(self._locator.path(outputs[i]), outputs[i]) for i in range(work.spec.nr_maps)]
        return run_reduce(work, sources, out)

    def _program(self, job: str) -> Program:
        if job not in self._programs:
            found = self._store.job(job)
            if found is None:
                raise Overtaken  # purged meanwhile
            spec, pack = found
            self._programs = {job: Program(spec, unpack_functions(pack, job=job, secret=self._secret))}
        return self._programs[job]

    def _input_urls(self, job: str, task_input: MapInput | Literal["reduce"]) -> list[str]:
        if task_input != "reduce":
            return task_input.urls()
        outputs = self._store.map_outputs(job)
        return [outputs[i] for i in sorted(outputs)]

    # -- the end of an attempt

    def _flush(self) -> None:
        """Commit what has ended. An attempt that does not count leaves no file behind."""
        commits, self._commits = self._commits, []
        for commit, answer in zip(commits, self._store.commit(commits) if commits else [], strict=True):
            if answer != "ok":
                attempt = commit.attempt
                self._data.output(attempt.job, TaskId.parse(attempt.task), attempt.number).unlink(
                    missing_ok=True
                )
                log.warning(
                    "%s %s: %s", attempt.job, attempt, answer, extra={"action": answer, "job": attempt.job}
                )
                if self._store.job(attempt.job) is None:
                    self._data.purge(attempt.job)  # purged while this attempt was writing

    def _fail(self, attempt: Attempt, error: BaseException) -> None:
        program = self._programs.get(attempt.job)
        kind, failure = failure_kind(error), describe(error)
        survives = 0
        if program is not None:
            survives = program.spec.max_failures if kind == "data" else program.spec.task_retries
        answer = self._store.fail(attempt, kind, failure, survives=survives)
        log.info(
            "%s %s failed: %s (%s)", attempt.job, attempt, failure.message, answer, extra={"action": "fail"}
        )

    def _keep_log(self, attempt: Attempt) -> None:
        self._log.keep(self._data.log(attempt.job, TaskId.parse(attempt.task), attempt.number))

    def _clean_up(self, attempt: Attempt) -> None:
        """Nothing of an attempt is there for the next one; what it printed is kept."""
        self._keep_log(attempt)
        os.chdir(self._scratch.directory)
        self._scratch.empty()


class _TaskServices:
    """The runtime API's way to Redis, for one attempt."""

    def __init__(self, connection: Connection, store: AttemptStore, attempt: Attempt) -> None:
        self._connection = connection
        self._store = store
        self._attempt = attempt

    def put(self, key: str, typed_value: bytes, count: int) -> int:
        return self._store.put(self._attempt, key, typed_value, count)

    def get(self, key: str, phase: str | None) -> Any:
        return read_oob(self._connection, self._attempt.job, key, phase=phase)

    def get_from(self, job: str, key: str) -> Any:
        jobs = JobStore(self._connection)
        status = jobs.statuses([job])[0]
        if status is None:
            raise OOBNotFound(f"unknown job {job!r}")
        if status == "active":
            raise OOBNotReadable(f"the OOB results of job {job} can be read when it has ended; it is active")
        return jobs.oob_get(job, key)

    def message(self, text: str) -> int:
        return self._store.message(self._attempt.job, self._attempt.node, text)


def _move(aside: Path, out: Path) -> None:
    """Rename a complete file to its place; the first output of a job here makes its directory."""
    try:
        aside.rename(out)
    except FileNotFoundError:
        out.parent.mkdir(exist_ok=True)
        aside.rename(out)


@contextmanager
def _time_limit(seconds: float | None) -> Iterator[None]:
    """Raise ``TaskTimeout`` in the main thread when the time is up."""
    if seconds is None:
        yield
        return

    def too_long(_signum: int, _frame: FrameType | None) -> None:
        raise TaskTimeout(f"the task ran longer than its task_timeout of {seconds:g} s")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
