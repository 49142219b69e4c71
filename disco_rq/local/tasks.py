"""The tasks of a job, one after the other in this process: attempts, retries, and what the runtime API keeps.

What a worker, its Redis scripts and the planner do for a cluster, without any of them; planning, stages,
shuffle and files are the same code.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from bdb import BdbQuit
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from disco_rq.attempt.files import merged_sources, opener_with, place_output
from disco_rq.attempt.timelimit import time_limit
from disco_rq.attempt.usercode import describe, failure_kind
from disco_rq.client.facts import describe_death
from disco_rq.client.submission import Submission
from disco_rq.errors import JobError, OOBNotFound
from disco_rq.model import MSG_QUOTA, OOB_QUOTA, MapInput, TaskId
from disco_rq.outputs.datadir import DataDir
from disco_rq.outputs.fetch import reduce_sources
from disco_rq.outputs.locator import Locator
from disco_rq.outputs.profiles import SUFFIX as PROFILE_SUFFIX
from disco_rq.outputs.profiles import profiled
from disco_rq.packing import unpack_functions
from disco_rq.runtime import RunningTask, enter_task, untyped
from disco_rq.saving import final_address, is_saved, publish
from disco_rq.settings import Settings
from disco_rq.stages import TaskWork, run_map, run_reduce
from disco_rq.store.attempts import Failure
from disco_rq.store.jobs import JobRecord

__all__ = ["NODE", "LocalEvent", "LocalRecord", "LocalTasks"]

NODE = "localhost"
"""The name of the only node there is; that of the embedded cluster's too."""


class LocalEvent(NamedTuple):
    """A line of the job's history."""

    timestamp: float  # seconds since 1970
    host: str
    message: str
    by_job: bool  # a message of the job itself


@dataclass(slots=True)
class LocalRecord:
    """What is known of a job: where Redis has its keys, this has its fields."""

    name: str
    outputs: dict[TaskId, str] = field(default_factory=dict)
    oob: dict[str, tuple[str, bytes]] = field(default_factory=dict)  # key -> phase, typed value
    counters: Counter[str] = field(default_factory=Counter)
    events: list[LocalEvent] = field(default_factory=list)
    profiles: list[Path] = field(default_factory=list)
    msgs_dropped: int = 0

    def tell(self, host: str, text: str, *, by_job: bool = False) -> None:
        """A line for the history."""
        self.events.append(LocalEvent(time.time(), host, text, by_job))


class LocalTasks:
    """Runs the tasks of one job to its end."""

    def __init__(
        self,
        submission: Submission,
        data: DataDir,
        locator: Locator,
        other_jobs: Callable[[str], LocalRecord],
    ) -> None:
        """``other_jobs`` finds a job that has ended; ``OOBNotFound``."""
        self.record = LocalRecord(submission.spec.name)
        self._spec = submission.spec
        self._pack = submission.pack
        self._functions = submission.functions
        self._inputs = submission.inputs
        self._data = data
        self._locator = locator
        self._other_jobs = other_jobs
        self._opener = opener_with(locator)
        self._master = Settings.from_env().http
        self._scratch = data.scratch("local", os.getpid())

    def run(self) -> None:
        """Every map, then every reduce. Raises ``JobError`` with the cause, as ``wait`` does."""
        spec, record = self._spec, self.record
        nr_reduces = spec.nr_reduces if spec.has_reduce else 0
        record.tell("master", f"Job submitted: {spec.nr_maps} maps, {nr_reduces} reduces")
        if spec.has_map and not self._inputs:
            record.tell("master", "Job is ready: its input was empty")
            return
        self._scratch.directory.mkdir(parents=True)
        try:
            with _restored():
                self._run_phases(nr_reduces)
        finally:
            _forget_modules(self._data.required(spec.name))
            self._scratch.remove()
        record.tell("master", "Job is ready")

    def _run_phases(self, nr_reduces: int) -> None:
        name, aside = self._spec.name, self._scratch.required
        required = self._data.required(name)
        self._unpacked = unpack_functions(self._pack, job=name, secret=None, directory=required, aside=aside)
        os.chdir(self._scratch.directory)
        if self._spec.has_map:
            for index, task_input in enumerate(self._inputs):
                self._task(TaskId("map", index), task_input)
            self.record.tell("master", "Map phase done")
        for partition in range(nr_reduces):
            self._task(TaskId("reduce", partition), "reduce")

    def _task(self, task: TaskId, task_input: MapInput | Literal["reduce"]) -> None:
        """Attempts until one succeeds, or no more are allowed."""
        failures: list[dict[str, Any]] = []
        survives = {"data": self._spec.max_failures, "error": self._spec.task_retries}
        while True:
            number = len(failures) + 1
            try:
                with _restored():
                    self._attempt(task, number, task_input)
                return
            except (KeyboardInterrupt, BdbQuit):  # the person at the keyboard, not the job
                raise
            except BaseException as error:  # the boundary around user code: sys.exit() too
                kind, failure = failure_kind(error), describe(error)
                failures.append({"node": NODE, "attempt": number, "kind": kind, "message": failure.message})
                text = f"Task {task} failed (attempt {number} on {NODE}): {failure.message}"
                same = sum(one["kind"] == kind for one in failures)
                if same > survives.get(kind, 0):
                    self.record.tell("master", f"Job is dead. {text}")
                    raise self._death(task, failure, failures) from error
                self.record.tell(NODE, text)
            finally:
                self._scratch.out.unlink(missing_ok=True)
                self._scratch.empty()

    def _attempt(self, task: TaskId, number: int, task_input: MapInput | Literal["reduce"]) -> None:
        spec = self._spec
        if task_input != "reduce" and task_input.is_redundant:
            task_input = task_input.replica(number - 1)
        services = _Services(self.record, task, self._other_jobs)
        running = RunningTask(
            spec, task, NODE, lambda: self._master, inputs=lambda: self._urls(task_input), services=services
        )
        work = TaskWork(
            spec,
            self._functions,
            self._unpacked.params(),
            task,
            scratch=self._scratch.directory,
            status=lambda text: self.record.tell(NODE, f"{task}: {text}"),
        )
        self._unpacked.required.link(self._data.required(spec.name), into=self._scratch.directory)
        output = self._data.output(spec.name, task, number)
        profile = output.with_name(output.name + PROFILE_SUFFIX) if spec.profile else None
        is_main = threading.current_thread() is threading.main_thread()  # signals reach no other
        enter_task(running)
        try:
            with time_limit(spec.task_timeout) if is_main else nullcontext():
                with profiled(profile):
                    self._stage(work, task_input)
                if running.doom is not None:
                    raise running.doom
                address = place_output(work, number, self._scratch.out, self._data, NODE)
        finally:
            enter_task(None)
        if is_saved(address):
            publish(address)
        self.record.outputs[task] = final_address(address)
        self.record.profiles += [profile] if profile is not None else []
        self.record.oob.update(services.staged)
        self.record.counters.update(running.counters)

    def _stage(self, work: TaskWork, task_input: MapInput | Literal["reduce"]) -> None:
        out = self._scratch.out
        if task_input != "reduce":
            run_map(work, task_input, out, opener=self._opener)
        elif self._spec.has_map:
            run_reduce(
                work, reduce_sources(self._locator, self._urls("reduce"), work.task.index, work.scratch), out
            )
        else:
            inputs = [part[0] for entry in self._inputs for part in entry.parts]
            run_reduce(work, merged_sources(work, inputs, self._locator), out)

    def _urls(self, task_input: MapInput | Literal["reduce"]) -> list[str]:
        if task_input != "reduce":
            return task_input.urls()
        if self._spec.has_map:
            return [self.record.outputs[TaskId("map", index)] for index in range(self._spec.nr_maps)]
        return [url for entry in self._inputs for url in entry.urls()]

    def _death(self, task: TaskId, failure: Failure, failures: list[dict[str, Any]]) -> JobError:
        told = {"message": failure.message, "traceback": failure.traceback, "failures": failures}
        cause = {"task": str(task), "attempt": len(failures), "node": NODE, **told}
        return JobError(describe_death(self._spec.name, JobRecord("dead", {"cause": json.dumps(cause)})))


@contextmanager
def _restored() -> Iterator[None]:
    """Afterwards this process finds its directory, environment and path as before."""
    directory, environment, path = Path.cwd(), dict(os.environ), list(sys.path)
    try:
        yield
    finally:
        os.chdir(directory)
        os.environ.clear()
        os.environ.update(environment)
        sys.path[:] = path


def _forget_modules(directory: Path) -> None:
    """The next job may bring other modules of the same names."""
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(f"{directory}{os.sep}"):
            del sys.modules[name]


class _Services:
    """The runtime API's way to the record, for one attempt."""

    def __init__(self, record: LocalRecord, task: TaskId, other_jobs: Callable[[str], LocalRecord]) -> None:
        self.staged: dict[str, tuple[str, bytes]] = {}
        self._record = record
        self._task = task
        self._other_jobs = other_jobs

    def put(self, key: str, typed_value: bytes, count: int) -> int:
        if key in self.staged or key in self._record.oob:
            return 1
        if count > OOB_QUOTA:
            return 2
        self.staged[key] = self._task.phase, typed_value
        return 0

    def get(self, key: str, phase: str | None) -> Any:
        put_in, typed_value = self._record.oob[key]
        if phase not in (None, put_in):
            raise KeyError(key)
        return untyped(typed_value)

    def get_from(self, job: str, key: str) -> Any:
        oob = self._other_jobs(job).oob
        if key not in oob:
            raise OOBNotFound(f"job {job} has no OOB result {key!r}")
        return untyped(oob[key][1])

    def message(self, text: str) -> int:
        second = int(time.time())
        sent = sum(event.by_job and int(event.timestamp) == second for event in self._record.events[-1000:])
        if sent >= MSG_QUOTA:
            self._record.msgs_dropped += 1
            return 0
        self._record.tell(NODE, text, by_job=True)
        return 1
