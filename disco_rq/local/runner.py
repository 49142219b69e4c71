"""A job in one process: no server, no Redis, and the functions are called right here, where a debugger is."""

from __future__ import annotations

import atexit
import os
import pstats
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Unpack

from disco_rq.client.arguments import Inputs, JobArguments
from disco_rq.client.badentries import bad_entries
from disco_rq.client.partitioned import check_alike
from disco_rq.client.reading import result_iterator
from disco_rq.client.results import Results, count_partitions, results_of
from disco_rq.client.submission import Submission, build
from disco_rq.client.tables import to_arrow, to_pandas, to_polars
from disco_rq.errors import DataError, DiscoError, JobError, OOBNotFound
from disco_rq.inputs import open_input
from disco_rq.inputs.given import listed
from disco_rq.local.keys import LocalKeys
from disco_rq.local.record import NODE, LocalRecord
from disco_rq.local.tasks import LocalTasks
from disco_rq.machine.redisserver import private_directory
from disco_rq.model import PHASES, BadEntry, Phase, ResultStatus
from disco_rq.oobvalues import untyped
from disco_rq.outputs.datadir import DataDir
from disco_rq.outputs.locator import Locator
from disco_rq.outputs.profiles import merged
from disco_rq.runtime import installed_names, is_in_task
from disco_rq.store.badentries import BadTask

__all__ = ["LocalJob", "run"]


class LocalJob:
    """A job that has ended ready; the methods that tell of it are those of ``Job``."""

    def __init__(self, record: LocalRecord, results: Results) -> None:
        self._record = record
        self._results = results
        self.name = record.name

    def __repr__(self) -> str:
        return f"<LocalJob {self.name}>"

    def wait(self, timeout: float | None = None) -> Results:  # noqa: ARG002  so that it reads like a Job's
        """The addresses of its results, for ``result_iterator``, or as the input of another local job."""
        return self._results

    def stream(self, reader: Callable[..., Iterable[Any]] | None = None) -> Iterator[Any]:
        """The pairs of its results, in the order in which they were made."""
        return result_iterator(self._results, reader=reader)

    to_arrow = to_arrow
    to_pandas = to_pandas
    to_polars = to_polars

    def results(self, timeout: float = 0.0) -> tuple[ResultStatus, Results]:  # noqa: ARG002  as above
        """``("ready", addresses)``."""
        return "ready", self._results

    def stage_results(self, stage: Phase) -> Results:
        """The addresses of what the tasks of a stage, "map" or "reduce", have written, in their order."""
        if stage not in PHASES:
            raise DiscoError(f'stage_results({stage!r}): it takes "map" or "reduce"')
        return results_of(self._record.outputs, _here.locator, settled=False, phase=stage)

    def oob_list(self) -> list[str]:
        """The keys of its OOB results, sorted."""
        return sorted(self._record.oob)

    def oob_get(self, key: str) -> Any:
        """An OOB result, of the type that was put. Raises ``OOBNotFound`` if there is none."""
        if key not in self._record.oob:
            raise OOBNotFound(f"job {self.name} has no OOB result {key!r}")
        _, typed_value = self._record.oob[key]
        return untyped(typed_value[:1], typed_value[1:])

    def events(self, offset: str = "0") -> Iterator[tuple[str, tuple[float, str, str]]]:
        """Its history after ``offset``, oldest first: ``(offset, (timestamp, host, message))``."""
        for number, event in enumerate(self._record.events, 1):
            if number > int(offset):
                yield str(number), (event.timestamp, event.host, event.message)

    @property
    def messages(self) -> list[str]:
        """What the job functions said with ``msg``, oldest first."""
        return [event.message for event in self._record.events if event.by_job]

    @property
    def msgs_dropped(self) -> int:
        """How many messages were over the quota."""
        return self._record.msgs_dropped

    @property
    def counters(self) -> dict[str, int]:
        """The totals of ``counter``."""
        return dict(self._record.counters)

    def bad_entries(self) -> Iterator[BadEntry]:
        """The entries that its maps have left out, in the order of tasks."""
        bad = [BadTask(str(task), nr, NODE, number) for task, (nr, number) in self._record.bad.items() if nr]
        return bad_entries(_here.locator, self.name, bad)

    def profile_stats(self, mode: str = "") -> pstats.Stats:
        """The profiles of its tasks as one (``mode``: "map", "reduce", or both); ``JobError`` if none."""
        found = [path for path in self._record.profiles if path.name.startswith(mode)]
        stats = merged((str(path), path.read_bytes()) for path in found)
        if stats is None:
            raise JobError(f"No profile data: job {self.name} has none{mode and f' of a {mode}'}")
        return stats

    def purge(self) -> None:
        """Delete its files now, not at the end of this process. Idempotent. Saved results stay."""
        _here.forget(self.name)


def run(name: str, input: Inputs, **arguments: Unpack[JobArguments]) -> LocalJob:
    """Run a job to its end in this process, with the arguments of ``new_job``.

    Everything is as on a cluster: the checks, also whether the functions can be shipped; the inputs, the
    partitions, quotas and retries. But the functions themselves are called, not copies of them, so that
    breakpoints stop and their modules' variables can be looked at; while they run, the working directory
    is one of the task's own. Only ``params`` are a copy for each task.
    A single file that can be cut is cut in two unless ``split_size`` is given, and there are at least two
    reduces unless ``nr_reduces`` is, so that mistakes between tasks show.

    Raises ``JobArgumentError`` for wrong use, and ``JobError`` when the job is dead; its ``__cause__`` is the
    error itself, with its traceback, for a debugger. ``task_timeout`` works in the main thread only.
    """
    if is_in_task() and _here.runner in (None, threading.get_ident()):
        raise DiscoError("local.run cannot be called in a job function: it runs one job at a time")
    with _here.my_turn(), closing(LocalKeys()) as keys:
        submission = _planned(name, input, arguments, keys)
        spec = submission.spec
        tasks = LocalTasks(submission, _here.data, _here.locator, _here.record, keys.at)
        try:
            with installed_names():
                tasks.run()
        except BaseException:
            _here.data.purge(spec.name)
            raise
        _here.records[spec.name] = tasks.record
        return LocalJob(tasks.record, results_of(tasks.record.outputs, _here.locator, settled=False))


def _planned(name: Any, input: Any, arguments: Mapping[str, Any], keys: LocalKeys) -> Submission:
    inputs = listed(input)
    partitions_of = partial(count_partitions, _here.locator)
    plan = partial(build, name, inputs, signer=None, partitions_of=partitions_of, keys_at=keys.at)
    submission: Submission = plan(arguments)
    spec = submission.spec
    check_alike(spec, submission.functions, _here.partitioned)
    if not spec.has_map:
        return submission
    more: dict[str, Any] = {}
    if spec.nr_maps == 1 and "split_size" not in arguments and (size := _size(submission)) > 1:
        more["split_size"] = (size + 1) // 2
    if spec.has_reduce and spec.nr_reduces == 1 and arguments.get("nr_reduces") is None:
        more["nr_reduces"] = 2
    return plan({**arguments, **more}) if more else submission


def _size(submission: Submission) -> int:
    """Bytes of the only input, 0 if that is not known."""
    part = submission.inputs[0].parts[0][0]
    try:
        with open_input(part) as (_, size):
            return size or 0
    except DataError:  # the task will say it
        return 0


class _Here:
    """The directory and the jobs of this process."""

    def __init__(self) -> None:
        self.runner: int | None = None  # the thread that runs a job now
        self._turn = threading.Lock()
        self.records: dict[str, LocalRecord] = {}
        self._data: DataDir | None = None

    @contextmanager
    def my_turn(self) -> Iterator[None]:
        """Wait while another thread runs a job."""
        with self._turn:
            self.runner = threading.get_ident()
            try:
                yield
            finally:
                self.runner = None

    @property
    def data(self) -> DataDir:
        """The directory, made when the first job needs it, deleted at the end of the process."""
        if self._data is None:
            root = private_directory()
            atexit.register(_remove, root, os.getpid())
            data = DataDir(root)
            data.prepare()
            self._data = data
        return self._data

    @property
    def locator(self) -> Locator:
        return Locator(lambda _: {}, own=(NODE, self.data.root))

    def record(self, job: str) -> LocalRecord:
        """A job that has ended."""
        if job not in self.records:
            raise OOBNotFound(f"unknown job {job!r}")
        return self.records[job]

    def partitioned(self, job: str) -> str:
        """How its results are partitioned; empty: nobody knows."""
        record = self.records.get(job)
        return record.partitioned if record is not None else ""

    def forget(self, job: str) -> None:
        self.records.pop(job, None)
        self.data.purge(job)


def _remove(root: Path, owner: int) -> None:
    if os.getpid() == owner:  # and not a fork of it
        shutil.rmtree(root, ignore_errors=True)


_here = _Here()
