"""A map over its inputs, a reduce over its sources. No Redis, no RQ, no network of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from disco_rq.func import map_line_reader, sum_combiner
from disco_rq.inputs import open_input
from disco_rq.model import Functions, JobSpec, MapInput, StageResult, TaskId
from disco_rq.records import RecordWriter, Source
from disco_rq.shuffle import Opaque, Ordered, Shuffle, Sorted, combined, summed
from disco_rq.shuffle.partition import Partitioner
from disco_rq.stages.mapping import MappedPairs, Opener
from disco_rq.stages.reducing import reduced

__all__ = ["TaskWork", "run_map", "run_reduce"]


@dataclass(frozen=True, slots=True)
class TaskWork:
    """One attempt of a task, as a worker hands it to a stage."""

    spec: JobSpec
    functions: Functions
    params: Any
    task: TaskId
    scratch: Path  # an empty directory of this attempt, for spills; removed by the caller
    status: Callable[[str], None]  # system event: "100000 entries mapped"


def run_map(work: TaskWork, task_input: MapInput, out: Path, *, opener: Opener = open_input) -> StageResult:
    """Map every entry of every part (one replica each) and write the complete output to ``out``.

    Exceptions of the job's functions pass unchanged, with a note that says the entry and the input.
    ``TaskError`` for what is no pair, ``PartitionError``, ``RecordTypeError``; ``DataError`` for an input
    that cannot be read.
    """
    functions, spec, params = work.functions, work.spec, work.params
    mapped = MappedPairs(
        functions.map,
        functions.map_reader or map_line_reader,
        functions.map_init,
        params,
        inputs=[part[0] for part in task_input.parts],
        opener=opener,
        status=work.status,
        status_interval=spec.status_interval,
    )
    partitioner = Partitioner(functions.partition if spec.nr_reduces else None, spec.nr_partitions, params)
    shuffle = _shuffle(work, partitioner)
    limit_bytes = spec.mem_sort_limit
    with mapped.located_errors():
        pairs = iter(mapped)
        if functions.combiner is sum_combiner:
            pairs = summed(pairs, limit_bytes // 2)
        elif functions.combiner is not None:
            pairs = combined(pairs, functions.combiner, partitioner, params)
        shuffle.feed(pairs)
    with RecordWriter(out, partitioner.nr_partitions) as writer:
        nr_pairs = shuffle.finish(writer)
    return StageResult(
        entries_in=mapped.nr_entries,
        records_out=nr_pairs,
        bytes_out=writer.bytes_out,
        partition_bytes=writer.partition_bytes() if spec.nr_partitions else {},
    )


def _shuffle(work: TaskWork, partitioner: Partitioner) -> Shuffle:
    scratch, limit_bytes, write = work.scratch, work.spec.mem_sort_limit, work.functions.map_writer
    if work.functions.combiner is sum_combiner:
        limit_bytes //= 2  # the other half is for the sums
    if write is not None:
        return Opaque(scratch, limit_bytes, partitioner, write, work.params)
    if work.spec.sort:
        return Sorted(scratch, limit_bytes, partitioner)
    return Ordered(scratch, limit_bytes, partitioner)


def run_reduce(work: TaskWork, sources: Sequence[Source], out: Path) -> StageResult:
    """Reduce the task's partition of all sources and write the complete output to ``out``.

    A source that is truncated, altered or missing raises ``CorruptData`` with its name as ``url``. Exceptions
    of the job's functions pass unchanged, with a note that says the key when it is known.
    """
    return reduced(
        work.functions,
        work.params,
        sources,
        work.task.index,
        out,
        sort=work.spec.sort,
        scratch=work.scratch,
        limit_bytes=work.spec.mem_sort_limit,
        status=work.status,
        status_interval=work.spec.status_interval,
    )
