"""A map over its inputs, a reduce over its sources. No Redis, no RQ, no network of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from disco_rq.external import ExternalProgram
from disco_rq.func import sum_combiner
from disco_rq.inputs import open_input
from disco_rq.model import MapInput, StageResult
from disco_rq.records import RecordWriter, Source
from disco_rq.runtime import skip_entry
from disco_rq.shuffle import Opaque, Ordered, Shuffle, Sorted, combined, folded, summed
from disco_rq.shuffle.folding import FoldCombiner
from disco_rq.shuffle.partition import Partitioner
from disco_rq.stages.external import Refused, RunningProgram, running_program
from disco_rq.stages.mapping import MappedPairs, Opener
from disco_rq.stages.reducing import reduced
from disco_rq.stages.taskwork import TaskWork

__all__ = ["answer", "run_map", "run_reduce"]


def run_map(work: TaskWork, task_input: MapInput, out: Path, *, opener: Opener = open_input) -> StageResult:
    """Map every entry of every part (one replica each) and write the complete output to ``out``.

    Exceptions of the job's functions pass unchanged, with a note that says the entry and the input.
    ``TaskError`` for what is no pair, ``PartitionError``, ``RecordTypeError``; ``DataError`` for an input
    that cannot be read.
    """
    if isinstance(work.functions.map, ExternalProgram):
        with running_program(work.functions.map, work.scratch) as program:
            answered = replace(work, functions=replace(work.functions, map=answer))
            return _mapped(answered, task_input, out, opener, program)
    return _mapped(work, task_input, out, opener)


def _mapped(
    work: TaskWork, task_input: MapInput, out: Path, opener: Opener, program: RunningProgram | None = None
) -> StageResult:
    functions, spec = work.functions, work.spec
    mapped = MappedPairs(work, task_input.parts, opener, None if program is None else program.answers)
    partition = functions.partition if spec.nr_reduces else None
    partitioner = Partitioner(partition, spec.nr_partitions, work.params, has_digests=spec.has_digests)
    shuffle = _shuffle(work, partitioner)
    limit_bytes = spec.mem_sort_limit
    with closing(mapped), mapped.located_errors():
        for number, (params, pairs) in enumerate(_runs(work, mapped, partitioner)):
            if number:
                shuffle.go_on(params)
            if functions.combiner is sum_combiner:
                pairs = summed(pairs, limit_bytes // 2)
            elif isinstance(functions.combiner, FoldCombiner):
                pairs = folded(pairs, functions.combiner, limit_bytes // 2)
            elif functions.combiner is not None:
                pairs = combined(pairs, functions.combiner, partitioner, params)
            shuffle.feed(pairs)
        if program is not None:
            program.finish_map()
    if work.bad is not None:
        work.bad.end(mapped.nr_read)
    with RecordWriter(out, partitioner.nr_partitions, work.memory_bytes) as writer:
        nr_pairs = shuffle.finish(writer)
    return StageResult(
        entries_in=mapped.nr_entries,
        records_out=nr_pairs,
        bytes_out=writer.bytes_out,
        content=writer.content(),
        partition_bytes=writer.partition_bytes() if spec.nr_partitions else {},
        digests=writer.digests() if spec.has_digests else b"",
    )


def _runs(
    work: TaskWork, mapped: MappedPairs, partitioner: Partitioner
) -> Iterable[tuple[Any, Iterator[Any]]]:
    """The pairs of the map with the params of whoever handles them. All in one, if nobody looks at these."""
    functions = work.functions
    combines = functions.combiner not in (None, sum_combiner)
    own = combines and not isinstance(functions.combiner, FoldCombiner)
    if own or functions.map_writer is not None or partitioner.is_own:
        return mapped.runs()
    return [(work.params, iter(mapped))]


def answer(entry: Any, _params: Any) -> Any:
    """The map where a program has made pairs of an entry before, or has refused it."""
    if isinstance(entry, Refused):
        skip_entry(entry.entry, entry.why)
        return None
    return entry


def _shuffle(work: TaskWork, partitioner: Partitioner) -> Shuffle:
    scratch, limit_bytes, write = work.scratch, work.spec.mem_sort_limit, work.functions.map_writer
    combiner = work.functions.combiner
    if combiner is sum_combiner or isinstance(combiner, FoldCombiner):
        limit_bytes //= 2  # the other half is for what it holds
    if write is not None:
        return Opaque(scratch, limit_bytes, partitioner, write, work.params)
    if work.spec.sort:
        # A reduce sorts the pairs of all maps: groups that are not sorted cost least on their way to it.
        reduces = work.spec.has_reduce
        values = work.spec.sort_values and not reduces
        return Sorted(scratch, limit_bytes, partitioner, values=values, grouped_is_enough=reduces)
    return Ordered(scratch, limit_bytes, partitioner)


def run_reduce(work: TaskWork, sources: Sequence[Source], out: Path) -> StageResult:
    """Reduce the task's partition of all sources and write the complete output to ``out``.

    A source that is truncated, altered or missing raises ``CorruptData`` with its name as ``url``. Exceptions
    of the job's functions pass unchanged, with a note that says the key when it is known.
    """
    if isinstance(work.functions.reduce, ExternalProgram):
        with running_program(work.functions.reduce, work.scratch, "reduce") as program:
            functions = replace(work.functions, reduce=lambda pairs, _params: program.reduced(pairs))
            return run_reduce(replace(work, functions=functions), sources, out)
    return reduced(work, sources, out)
