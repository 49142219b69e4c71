"""A job of a few words that a fresh horse runs before anybody waits for it.

A forked process shares its parent's memory until it touches it, and pays for each page then: some 1,000 of
them in its first map and its first reduce, which takes longer than a small task does. Here they are touched
in time that nobody waits for. Its parent has rehearsed, too, before it forks: modules that are loaded late,
caches, and what the interpreter notes in code that it has seen some times are then in memory that all share.

What Redis is asked is asked of a job that does not exist: it refuses, and nothing is written there.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from disco_rq.attempt.files import opener_with
from disco_rq.attempt.place import Place
from disco_rq.func import kvgroup
from disco_rq.model import Functions, Input, JobSpec, MapInput, StageResult, TaskId
from disco_rq.outputs.addresses import output_address, output_name
from disco_rq.outputs.datadir import DataDir
from disco_rq.outputs.fetch import reduce_sources
from disco_rq.outputs.locator import Locator
from disco_rq.packing import JobSeal, pack_functions, unpack_functions
from disco_rq.records import write_outputs
from disco_rq.stages import TaskWork, run_map, run_reduce
from disco_rq.stages.mapping import Opener
from disco_rq.store.attempts import Attempt, AttemptStore, Commit

__all__ = ["JOB", "rehearse", "rehearse_ahead", "rehearsed_pack"]

log = logging.getLogger("disco_rq.execution")

JOB = "rehearsal@00000000-000000-0000"
"""No job has this name: a submission's has another form, and its date has been."""
_TASKS = _MAP, _REDUCE = TaskId("map", 0), TaskId("reduce", 0)
_NODE = "rehearsal"
_SMALL_BYTES = 1 << 16
_TIMES = 10
"""Python 3.11 looks at a function's code anew at its eighth call."""


def _words(entry: str, params: Any) -> Iterator[tuple[str, int]]:  # noqa: ARG001
    for word in entry.split():
        yield word, 1


def _totals(pairs: Any, params: Any) -> Iterator[tuple[str, int]]:  # noqa: ARG001
    for word, counts in kvgroup(pairs):
        yield word, sum(counts)


@cache
def rehearsed_pack() -> bytes:
    """The job's functions; made once, before the forks."""
    return pack_functions(Functions(map=_words, reduce=_totals), None, JobSeal(JOB, None)).data


def rehearse_ahead(store: AttemptStore, place: Place) -> None:
    """In the worker, before it forks horses."""
    scratch = place.scratch
    try:
        scratch.directory.mkdir(parents=True)
        for _ in range(_TIMES):
            rehearse(opener_with(place.locator), store, scratch.directory)
            scratch.empty()
    except Exception as error:  # noqa: BLE001  a full disk, say: the first task will tell
        log.info("no rehearsal: %s", error, extra={"action": "rehearse"})
    finally:
        with suppress(OSError):
            scratch.remove()


def rehearse(opener: Opener, store: AttemptStore, directory: Path) -> None:
    """Claim, unpack, map, write, read, reduce, commit, in an empty directory; the caller empties it again."""
    store.claim(JOB, JOB, _NODE, [(task, 1) for task in _TASKS])
    store.job(JOB)
    unpacked = unpack_functions(rehearsed_pack(), JobSeal(JOB, None), directory=directory, aside=directory)
    work = TaskWork(
        spec=JobSpec(JOB, 1, 1, has_map=True, has_reduce=True, sort=True),
        functions=unpacked.functions,
        params=unpacked.params(),
        task=_MAP,
        scratch=directory,
        status=lambda _: None,
        new_params=unpacked.params,
        memory_bytes=_SMALL_BYTES,
    )
    text, out = directory / "text", directory / "out"
    text.write_text("to be or\nnot to be\n")
    mapped = run_map(work, MapInput(((Input(str(text)),),)), out, opener=opener)
    write_outputs(DataDir(directory).job(JOB), {output_name(_MAP, 1): mapped.content or b""}, out)
    store.map_outputs(JOB)
    locator = Locator(lambda _: {}, own=(_NODE, directory))
    sources = reduce_sources(locator, [output_address(_NODE, JOB, _MAP, 1)], 0, directory)
    reduced = run_reduce(replace(work, task=_REDUCE), sources, out)
    store.commit([_commit(_MAP, mapped), _commit(_REDUCE, reduced)])


def _commit(task: TaskId, result: StageResult) -> Commit:
    attempt = Attempt(JOB, task, 1, _NODE, _NODE)
    address = output_address(_NODE, JOB, task, 1)
    return Commit(attempt=attempt, address=address, duration_ms=0, result=result)
