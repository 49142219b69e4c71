"""One attempt of a task, from its input to its complete output, for a worker and a local run alike.

Nothing here knows Redis. Whoever runs an attempt says where it is, what the runtime API reaches
(``Services``), and what a reduce reads (``Feed``), and does with the outcome what it must.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, Protocol

from disco_rq.attempt.files import merged_sources, opener_with, place_output
from disco_rq.attempt.leftout import LeftOut
from disco_rq.attempt.place import Place
from disco_rq.attempt.ranges import KeptRanges, with_ranges
from disco_rq.func import netstr_reader, object_reader
from disco_rq.model import Functions, Input, JobSpec, MapInput, StageResult, TaskId, readable
from disco_rq.outputs.fetch import reduce_sources
from disco_rq.outputs.profiles import profiled
from disco_rq.outputs.remote import NODE_PATIENCE_S
from disco_rq.packing import UnpackedJob
from disco_rq.redact import redact
from disco_rq.runtime import RunningTask, Services, enter_task
from disco_rq.stages import TaskWork, run_map, run_reduce
from disco_rq.stages.onlyentry import OnlyEntry

__all__ = ["Feed", "Outcome", "Running", "TaskInput", "Turn", "run_attempt"]

TaskInput = MapInput | Literal["reduce"]
"""What a map reads, one replica of each part; a reduce finds its own."""


class Feed(Protocol):
    """What a reduce reads."""

    def is_empty(self) -> bool:
        """Whether no map has written anything for this reduce."""

    def map_outputs(self) -> Sequence[str]:
        """The addresses of all map outputs, in the order of the maps."""

    def inputs(self) -> Sequence[Input]:
        """The inputs of a job without a map."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One attempt: which task of which job, with what to read."""

    spec: JobSpec
    unpacked: UnpackedJob
    task: TaskId
    number: int
    task_input: TaskInput
    entry: int | None = None  # that of each input only is for the map: see ``stages.onlyentry``

    @property
    def functions(self) -> Functions:
        """Those of this task: where inputs have maps of their own, with that of its input."""
        functions = self.unpacked.functions
        return functions if self.task_input == "reduce" else functions.of_side(self.task_input.side)

    def after(self, failures: Sequence[str]) -> Turn:
        """The same, with the replicas of a redundant input that failed behind the others.

        ``failures``: an address for each failure of the task so far, without passwords. One that names no
        replica (empty: it is not known) is taken for one of the replica that was to be read.
        """
        if self.task_input == "reduce" or not self.task_input.is_redundant:
            return self
        parts = tuple(_put_behind(part, failures) for part in self.task_input.parts)
        return replace(self, task_input=replace(self.task_input, parts=parts))


def _put_behind(part: tuple[Input, ...], failures: Sequence[str]) -> tuple[Input, ...]:
    order = list(part)
    for url in failures:
        failed = next((one for one in order if readable(redact(one.url)) == url), order[0])
        order.remove(failed)
        order.append(failed)
    return tuple(order)


@dataclass(frozen=True, slots=True)
class Running:
    """What an attempt reaches of the outside."""

    services: Services
    feed: Feed
    ranges: KeptRanges
    master: Callable[[], str]
    status: Callable[[str], None]  # system event: "100000 entries mapped"
    limit: AbstractContextManager[None]  # of its time, from its first entry to its complete output
    patience_s: float = NODE_PATIENCE_S  # with servers of other nodes
    memory_bytes: int = 0  # an output no larger than this stays in memory
    tell_entries: Callable[[int], None] = lambda _nr_entries: None  # now and then: so many were read so far


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a complete attempt has made. Nothing of it counts before it is committed."""

    address: str
    result: StageResult  # with the counters
    puts: int
    put_bytes: int


def run_attempt(turn: Turn, place: Place, outside: Running) -> Outcome:
    """Run it; the output lies where ``address`` says, or is the result's ``content``.

    What job functions raise passes unchanged, and so does what they have caught and must not
    (``OOBQuotaExceeded`` and its like). The runtime names speak of this task until ``enter_task(None)``: the
    caller calls that when it has described the error.
    """
    spec, scratch, aside = turn.spec, place.scratch, place.scratch.out
    read = _once(partial(_input_urls, turn, outside.feed))  # what is read now, whatever becomes of it
    running = _running_task(turn, place, outside, read)
    left_out = LeftOut(running, turn.number, place) if spec.max_bad and turn.task_input != "reduce" else None
    work = TaskWork(
        spec=spec,
        functions=turn.functions,
        params=turn.unpacked.params(),
        task=turn.task,
        scratch=scratch.directory,
        status=outside.status,
        new_params=turn.unpacked.params,
        memory_bytes=0 if spec.saves(turn.task) else outside.memory_bytes,
        bad=left_out,
        only=None if turn.entry is None else OnlyEntry(turn.entry),
        tell_entries=outside.tell_entries,
    )
    profile = place.data.profile(spec.name, turn.task, turn.number) if spec.profile else None
    if turn.unpacked.required:
        turn.unpacked.required.link(place.data.required(spec.name), into=scratch.directory)
    pid = os.getpid()
    enter_task(running)
    try:
        with outside.limit:
            work, ranges = _with_ranges(turn, work, place, outside, running)
            with profiled(profile):
                result = _stage(turn, work, place, outside, read)
            if running.doom is not None:
                raise running.doom
            told = "" if left_out is None else left_out.settle()
            in_memory = result.content is not None
            address = place_output(work, turn.number, place, in_memory=in_memory)
    except BaseException:
        if os.getpid() == pid:  # and not a fork of the task
            aside.unlink(missing_ok=True)
            if left_out is not None:
                left_out.abandon()
        raise
    if running.counters or ranges or told:
        result = replace(result, counters=dict(running.counters), ranges=ranges, left_out=told)
    return Outcome(address, result, running.puts, running.put_bytes)


def _once(ask: Callable[[], Sequence[str]]) -> Callable[[], Sequence[str]]:
    """Ask at the first call, and give that answer at each."""
    answers: list[Sequence[str]] = []

    def answer() -> Sequence[str]:
        if not answers:
            answers.append(ask())
        return answers[0]

    return answer


def _running_task(
    turn: Turn, place: Place, outside: Running, read: Callable[[], Sequence[str]]
) -> RunningTask:
    return RunningTask(
        spec=turn.spec,
        task=turn.task,
        host=place.node,
        master=outside.master,
        inputs=read,
        services=outside.services,
    )


def _with_ranges(
    turn: Turn, work: TaskWork, place: Place, outside: Running, running: RunningTask
) -> tuple[TaskWork, str]:
    """The work as the stage takes it, and the digest of the ranges of keys that it goes by."""
    if turn.task.phase != "map":
        return work, ""
    required = turn.unpacked.required

    def link(directory: Path) -> None:
        if required:
            required.link(place.data.required(turn.spec.name), into=directory)

    opener = opener_with(place.locator, outside.patience_s, keys=place.keys)
    return with_ranges(work, running, outside.ranges, opener, link)


def _stage(
    turn: Turn, work: TaskWork, place: Place, outside: Running, read: Callable[[], Sequence[str]]
) -> StageResult:
    out, patience_s = place.scratch.out, outside.patience_s
    if turn.task_input != "reduce":
        opener = opener_with(place.locator, patience_s, keys=place.keys)
        return run_map(work, turn.task_input, out, opener=opener)
    if not turn.spec.has_map:
        sources = merged_sources(work, outside.feed.inputs(), place.locator, patience_s)
        return run_reduce(work, sources, out)
    # A reader of the job's own may make something of nothing; another one need not be called for it.
    if work.functions.reduce_reader in (None, object_reader, netstr_reader) and outside.feed.is_empty():
        return run_reduce(work, [], out)
    sources = reduce_sources(place.locator, read(), turn.task.index, work.scratch, patience_s=patience_s)
    return run_reduce(work, sources, out)


def _input_urls(turn: Turn, feed: Feed) -> list[str]:
    if turn.task_input != "reduce":
        return turn.task_input.first_urls()
    if turn.spec.has_map:
        return list(feed.map_outputs())
    return [entry.url for entry in feed.inputs()]
