"""In the horse: run the attempts of a batch, one after the other, and commit them."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NoReturn, cast

from disco_rq.attempt.asking import note_that_nobody_answers, refuse_breakpoints
from disco_rq.attempt.files import opener_with
from disco_rq.attempt.log import AttemptLog
from disco_rq.attempt.place import Place
from disco_rq.attempt.processstate import ProcessState
from disco_rq.attempt.program import Program
from disco_rq.attempt.running import Outcome, Running, TaskInput, Turn, run_attempt
from disco_rq.attempt.stored import InputsMissing, StoredFeed, StoredRanges
from disco_rq.attempt.surroundings import Surroundings
from disco_rq.attempt.timelimit import time_limit
from disco_rq.errors import ConnectionLost, OtherVersion
from disco_rq.machine.exhaustion import is_exhaustion
from disco_rq.machine.terminal import empty_stdin
from disco_rq.machine.titles import tell_title
from disco_rq.model import TaskId
from disco_rq.outputs.datadir import DataDir
from disco_rq.outputs.locator import Locator
from disco_rq.outputs.remote import patience_of
from disco_rq.packing import Signer
from disco_rq.runtime import Overtaken, enter_task
from disco_rq.settings import Settings
from disco_rq.store.attempts import Attempt, AttemptStore, Commit
from disco_rq.store.connection import Connection
from disco_rq.store.givenkeys import GivenKeys
from disco_rq.store.nodes import master_address, node_about
from disco_rq.worker.batch import is_whole_job
from disco_rq.worker.checking import checked
from disco_rq.worker.commits import Commits
from disco_rq.worker.endings import Endings
from disco_rq.worker.finished import Finished
from disco_rq.worker.horse import Fitness, Progress
from disco_rq.worker.pilotlook import PilotLook
from disco_rq.worker.programs import Programs
from disco_rq.worker.rehearsal import rehearse
from disco_rq.worker.secondlook import TO_BE_LOOKED_AT, SecondLook, Unheard
from disco_rq.worker.services import TaskServices

if TYPE_CHECKING:
    from disco_rq.worker.tracing import AttemptTraces

log = logging.getLogger("disco_rq.execution")

SMALL_BYTES = 64 << 10
"""Outputs no larger than this wait in memory for their commit, and are written together."""


class Execution:
    """Runs batches for one worker. One job at a time: its modules and globals stay in this process."""

    def __init__(
        self,
        connection: Connection,
        *,
        node: str,
        worker: str,
        data: DataDir,
        signer: Signer,
        progress: Progress,
        finished: Finished,
        settings: Settings,
        forget_secret: Callable[[], None] = lambda: None,
        traces: Callable[[], AttemptTraces] | None = None,
    ) -> None:
        """``forget_secret`` is called when what is signed was checked, before code of the job runs;
        ``traces`` in a new process, where tracing is on.
        """
        self._connection = connection
        self._store = AttemptStore(connection)
        self._worker = worker
        self._progress = progress
        self._most_tasks = settings.tasks_per_process  # after so many this process is not to be used again
        self._done_tasks = 0
        self._has_failed = self._is_exhausted = (
            False  # an attempt, here; and for lack of what the process has
        )
        self._left = ""  # what a task left here, in words
        self._make_traces, self._traces = traces, cast("AttemptTraces | None", None)
        locator = Locator(lambda other: node_about(connection, other), own=(node, data.root))
        scratch = data.scratch(worker, os.getpid())
        keys = GivenKeys(connection)  # its server: nobody asks where an address says that it is
        self._place = Place(node, data, scratch, locator, lambda _: keys, settings.fsync)
        self._programs = Programs(self._store, self._place, signer, forget_secret)
        self._log = AttemptLog(scratch.log)
        self._endings = Endings(self._store, self._place, spec_of=self._programs.spec_of)
        self._commits = Commits(self._store, self._place, self._endings, finished)

    def prepare(self) -> None:
        """Once in a new process: its own working directory, no input, its output to the attempt's log."""
        directory = self._place.scratch.directory
        directory.mkdir(parents=True)
        os.chdir(directory)
        tempfile.tempdir = str(directory)
        os.environ["TMPDIR"] = str(directory)
        empty_stdin()
        refuse_breakpoints()
        self._log.capture()
        if self._make_traces is not None:
            self._traces = self._make_traces()
        self._surroundings, self._state = Surroundings(), ProcessState()
        self._tell_title("idle")

    def _tell_title(self, what: str) -> None:
        tell_title(f"task of {self._worker}: {what}")

    def rehearse(self) -> None:
        """Once after ``prepare``, while nobody waits: the first tasks are three times as fast for it."""
        try:
            rehearse(opener_with(self._place.locator), self._store, self._place.scratch.directory)
        except Exception as error:  # noqa: BLE001  a full disk, say: what it is, the first task will tell
            log.info("no rehearsal: %s", error, extra={"action": "rehearse"})
        self._place.scratch.empty()

    def run_batch(self, job: str, batch: str, tasks: Sequence[tuple[TaskId, int]]) -> Fitness:
        """Claim the batch, and run what was claimed; tell the parent which of its tasks is running.

        What an attempt leaves in the process (threads, child processes, descriptors) nobody else is to meet:
        it is the last one here then, and the others of the batch are for another process. The same after one
        that failed for lack of what the process has; after any other failure the batch goes on, and the next
        attempt of that task finds another process.
        """
        try:
            return (self._run_whole if is_whole_job(tasks) else self._run_all)(job, batch, tasks)
        finally:
            self._tell_title("idle")
            if self._traces is not None:
                self._progress.begin_sending()
                self._traces.send()

    def _run_all(self, job: str, batch: str, tasks: Sequence[tuple[TaskId, int]]) -> Fitness:
        claimed = self._store.claim(job, batch, self._worker, tasks)
        mine = [i for i, task_input in enumerate(claimed) if task_input is not None]
        for i in mine:
            task, number = tasks[i]
            self._progress.begin(i)
            attempt = Attempt(job, task, number, self._place.node, self._worker)
            self._run(attempt, claimed[i] or "reduce", is_last=i == mine[-1])
            self._done_tasks += 1
            is_last = self._is_used_up()
            self._commits.flush_in_time(now=is_last)
            if is_last:
                return Fitness.REST if i != mine[-1] else Fitness.SPENT
        self._commits.flush()
        return Fitness.SPENT if self._has_failed else Fitness.DONE

    def _run_whole(self, job: str, batch: str, tasks: Sequence[tuple[TaskId, int]]) -> Fitness:
        """The maps of a small job, and then its reduces. Each is claimed when it is to begin.

        What is not is handed back as if nobody had ever had it, for other slots: once one has failed, or all
        of it takes longer than was thought.
        """
        left = list(tasks)
        while left and not self._has_failed and not self._is_used_up():
            task, number = left[0]
            self._progress.begin(len(tasks) - len(left))
            if self._progress.is_wanted_back:
                break
            if task.phase == "reduce":
                self._commits.flush()  # what it reads
            [task_input] = self._store.claim(job, batch, self._worker, left[:1])
            if task_input is None:
                break
            del left[0]
            attempt = Attempt(job, task, number, self._place.node, self._worker)
            self._run(attempt, task_input, is_last=not left)
            self._done_tasks += 1
            self._commits.flush_in_time(now=False)
        self._commits.flush()
        self._store.unclaim(job, batch, left)
        return Fitness.SPENT if self._has_failed or self._is_used_up() else Fitness.DONE

    def _is_used_up(self) -> bool:
        is_old = self._most_tasks is not None and self._done_tasks >= self._most_tasks
        return is_old or self._is_exhausted or bool(self._left)

    def _run(self, attempt: Attempt, task_input: TaskInput, *, is_last: bool) -> None:
        """One attempt, to its commit (which may wait for others) or to its failure. ``is_last``: of its
        batch.
        """
        fields = {"action": "attempt", "job": attempt.job}
        horse_pid = os.getpid()
        self._tell_title(f"{attempt} of {attempt.job}")
        try:
            try:
                commit = self._attempt(attempt, task_input)
            finally:
                if os.getpid() != horse_pid:
                    _end_fork()
                if is_last and self._traces is not None:
                    self._progress.begin_sending()  # before its end is told: the job's may follow
            self._commits.add(commit)
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
            self._has_failed = True
            self._is_exhausted = is_exhaustion(error)
            if self._is_exhausted:
                self._state.free_reserve()
            with suppress(OSError):  # what is told is the task's error
                self._surroundings.restore()  # our own files are next
            self._endings.blame_disk(error)
            note_that_nobody_answers(error)
            self._commits.flush()
            self._keep_log(attempt)  # before anybody hears of the failure and looks for it
            self._endings.fail(attempt, error)
        finally:
            enter_task(None)
            self._clean_up(attempt)

    def _attempt(self, attempt: Attempt, task_input: TaskInput) -> Commit:
        if self._traces is None:
            return self._untraced(attempt, task_input)
        work = partial(self._untraced, attempt, task_input)
        return self._traces.run(attempt, lambda: self._program_of(attempt).spec, work)

    def _program_of(self, attempt: Attempt) -> Program:
        """Its job, unpacked, whose files every attempt of it is to find on the path."""
        is_new = self._programs.spec_of(attempt.job) is None
        program = self._programs.of(attempt.job)
        if is_new and program.unpacked.required:
            self._surroundings = Surroundings()
        return program

    def _untraced(self, attempt: Attempt, task_input: TaskInput) -> Commit:
        program = self._program_of(attempt)
        spec = program.spec
        program.check(attempt.task, task_input)
        turn = Turn(spec, program.unpacked, attempt.task, attempt.number, task_input)
        if task_input != "reduce" and task_input.is_redundant:
            turn = turn.after(self._store.failed_inputs(attempt.job, attempt.task))
        feed = StoredFeed(self._store, spec, turn.task, program.seal)
        services = TaskServices(self._connection, self._store, attempt)
        outside = Running(
            services=services,
            feed=feed,
            ranges=StoredRanges(self._connection, spec, program.seal),
            master=partial(master_address, self._connection),
            status=lambda text: self._store.event(attempt.job, self._place.node, f"{attempt.task}: {text}"),
            limit=time_limit(spec.task_timeout),
            patience_s=patience_of(attempt.number),
            memory_bytes=SMALL_BYTES,
            tell_entries=self._progress.tell_entries,
        )
        if attempt.task.phase == "check":
            return checked(self._connection, self._place, attempt, turn, partial(self._run_again, outside))
        started = time.monotonic()
        self._progress.begin(self._progress.index, spec.task_timeout)
        of_pilot = PilotLook() if spec.pilot and attempt.task.phase == "map" else None
        outcome = run_attempt(turn, self._place, outside)
        ended = time.monotonic()
        if of_pilot is not None:
            output = self._place.data.output(attempt.job, attempt.task, attempt.number)
            seen = of_pilot.noted(outcome.result, program.unpacked.functions, output)
            outcome = replace(outcome, result=seen)
        return Commit(
            attempt=attempt,
            is_result=spec.gives_result(turn.task),
            address=outcome.address,
            duration_ms=round((ended - started) * 1000),
            result=outcome.result,
            puts=outcome.puts,
            put_bytes=outcome.put_bytes,
            ended_s=ended,
            changes_seen=feed.changes_seen,
            oob_changes_seen=services.oob_changes_seen,
            difference=self._difference(attempt, turn, outside, outcome, ended - started),
        )

    def _difference(
        self, attempt: Attempt, turn: Turn, outside: Running, outcome: Outcome, took_s: float
    ) -> str:
        """From an output of the same map that may have been read, and lost."""
        if attempt.number == 1 or not outcome.result.digests:
            return ""
        look = SecondLook(self._store, self._place, attempt)
        again = partial(self._run_again, outside, replace(turn, number=TO_BE_LOOKED_AT))
        return look.difference(outcome.result, took_s, again)

    def _run_again(self, outside: Running, turn: Turn) -> Outcome:
        """A task once more, to be looked at: nothing that it says is heard."""
        self._surroundings.restore()
        self._place.scratch.empty()
        self._progress.begin(self._progress.index, turn.spec.task_timeout)
        unheard = replace(
            outside,
            services=Unheard(outside.services),
            status=lambda _text: None,
            limit=time_limit(turn.spec.task_timeout),
        )
        return run_attempt(turn, self._place, unheard)

    def _keep_log(self, attempt: Attempt) -> None:
        try:
            if self._log.has_content():
                self._log.keep(self._place.data.log(attempt.job, attempt.task, attempt.number))
        except OSError as error:  # a full disk: the attempt itself ends as it did
            fields = {"action": "log", "job": attempt.job}
            log.warning("%s %s: its log is not kept: %s", attempt.job, attempt, error, extra=fields)

    def _clean_up(self, attempt: Attempt) -> None:
        """Nothing of an attempt is there for the next one; what it printed is kept."""
        try:
            self._surroundings.restore()
            self._left = self._state.restore()
            self._keep_log(attempt)
            self._place.scratch.empty()
        except OSError as error:  # what a task has made of its directory: the attempt itself ends as it did
            self._left = f"its directory so that it cannot be emptied: {error}"
            log.warning("%s %s left %s", attempt.job, attempt, self._left, extra={"action": "clean up"})


def _end_fork() -> NoReturn:
    """A child that the task has forked comes back from the task's code: it would go on as if it were us."""
    error = sys.exc_info()[1]
    if error is not None and not isinstance(error, SystemExit):
        traceback.print_exception(error)  # to the attempt's log, as any program ends
    os._exit(0 if error is None else 1)
