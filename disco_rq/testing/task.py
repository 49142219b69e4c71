"""One map or one reduce, called as a task of a job calls it, with the runtime names at hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from disco_rq import local
from disco_rq.client.reading import result_iterator
from disco_rq.errors import JobError
from disco_rq.func import nop_map
from disco_rq.model import BadEntry

__all__ = ["TaskRun", "run_task"]


class TaskRun(NamedTuple):
    """What a task gave: its pairs, and what it put, counted, said and left out."""

    pairs: list[tuple[Any, Any]]
    puts: dict[str, Any]
    counters: dict[str, int]
    messages: list[str]
    bad: list[BadEntry]


def run_task(map: Callable[..., Any] | None, entries: Iterable[Any], **arguments: Any) -> TaskRun:
    """Run a map on entries, as the only task of a job that ends well.

    ``entries``: what a reader would give. ``arguments``: those of ``new_job``, such as ``params`` and
    ``max_bad``. With ``map=None`` and a ``reduce`` the entries are the pairs that this reduce gets, sorted if
    ``sort=True`` says so. With both, the reduce gets what the map gives.

    Raises what the function raises, as it is; ``JobArgumentError`` for wrong use.
    """
    given = list(entries)

    def reader(fd: Any, size: int | None, name: str) -> Iterator[Any]:  # noqa: ARG001
        yield from given

    asked: dict[str, Any] = {
        "map": nop_map if map is None else map,
        "map_reader": reader,
        "split_size": None,
        **arguments,
    }
    if "reduce" in arguments:
        asked.setdefault("nr_reduces", 1)
    try:
        job = local.run("task", ["raw://entries"], **asked)
    except JobError as error:
        raise (error.__cause__ or error) from None
    try:
        puts = {key: job.oob_get(key) for key in job.oob_list()}
        pairs = list(result_iterator(job.wait()))
        return TaskRun(pairs, puts, job.counters, job.messages, list(job.bad_entries()))
    finally:
        job.purge()
