"""``profile=True``: cProfile around each task, a file beside its output, merged where it is asked for."""

from __future__ import annotations

import cProfile
import marshal
import pstats
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from disco_rq.errors import DataError
from disco_rq.model import TaskId
from disco_rq.outputs.addresses import output_address

__all__ = ["SORTS", "SUFFIX", "functions", "merged", "profiled", "profiled_outputs"]

SUFFIX = ".prof"
"""Of the file beside an attempt's output."""
SORTS = {"time": "tottime", "cumulative": "cumtime", "calls": "ncalls"}
"""Our words for those of pstats."""


def profiled(path: Path | None) -> AbstractContextManager[None]:
    """Profile what runs inside, in this thread, and write the statistics to ``path``; None: do neither.

    Nothing is written of what ends with an error.
    """
    return nullcontext() if path is None else _profiled(path)


@contextmanager
def _profiled(path: Path) -> Iterator[None]:
    profiler = cProfile.Profile()
    profiler.enable()
    try:
        yield
    finally:
        profiler.disable()
    path.parent.mkdir(mode=0o700, exist_ok=True)  # the first output of a job here makes its directory
    profiler.dump_stats(path)


def profiled_outputs(
    job: str, attempts: Mapping[tuple[TaskId, int], Mapping[str, Any]], mode: str
) -> list[str]:
    """Addresses of the outputs beside which the profiles of a job lie, in the order of its tasks.

    ``attempts``: how the job's ended, by task and number. ``mode``: "map", "reduce", "" for both. Of a map
    that was made again the last attempt counts.
    """
    done: dict[TaskId, tuple[int, str]] = {}
    for (task, number), record in attempts.items():
        if record["outcome"] == "done" and mode in ("", task.phase):
            address = record.get("of") or output_address(record["node"], job, task, number)
            done[task] = max(done.get(task, (0, "")), (number, address))
    return [done[task][1] for task in sorted(done)]


def functions(stats: pstats.Stats, sort: str, most: int) -> list[dict[str, Any]]:
    """The first functions by one of ``SORTS``; ``time`` is without what they called, both in seconds."""
    stats.sort_stats(SORTS[sort])
    told: Any = stats  # typeshed does not tell of these
    columns = ("function", "file", "line", "primitive_calls", "calls", "time", "cumulative")
    return [
        dict(zip(columns, (name, file, line, *told.stats[file, line, name][:4]), strict=True))
        for file, line, name in told.fcn_list[:most]
    ]


def merged(profiles: Iterable[tuple[str, bytes]]) -> pstats.Stats | None:
    """The statistics of many tasks as one; None of none. Raises ``DataError`` naming one that is bad."""
    stats: pstats.Stats | None = None
    for address, data in profiles:
        one: Any = _Stored(address, data)
        if stats is None:
            stats = pstats.Stats(one)
        else:
            stats.add(one)
    return stats


class _Stored:
    """What ``pstats.Stats`` takes besides file names."""

    def __init__(self, address: str, data: bytes) -> None:
        try:
            self.stats = marshal.loads(data)
        except (EOFError, ValueError, TypeError) as error:
            raise DataError(f"its profile is truncated or altered: {error}", address) from None

    def create_stats(self) -> None:
        """They are there."""
