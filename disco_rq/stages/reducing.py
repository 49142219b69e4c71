"""Calling a job's reduce: from blocks of many sources to pairs, and from what it gives out to a file."""

from __future__ import annotations

import inspect
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice, repeat
from pathlib import Path
from typing import Any, NoReturn, Protocol, TypeVar

from disco_rq import runtime
from disco_rq.errors import TaskError
from disco_rq.func import netstr_reader, nop_reduce, object_reader
from disco_rq.model import StageResult
from disco_rq.records import PairBatch, Source, batches
from disco_rq.records.blocks import Block, Kind
from disco_rq.records.opaque import OpaqueFile, OpaqueStream
from disco_rq.records.pairs import NotAPair, entries_of, one_by_one, place_of, shown, taken_columns
from disco_rq.records.taken import copied, one_nan, taken, taken_deep
from disco_rq.records.writer import EncodedBlock, RecordWriter
from disco_rq.shuffle.cutting import BLOCK_BYTES, Cutter
from disco_rq.shuffle.grouping import RecordStream
from disco_rq.shuffle.memory import average_bytes
from disco_rq.shuffle.partition import Partitioner, default_partition
from disco_rq.shuffle.ranges import total_order
from disco_rq.shuffle.sorter import Sorter
from disco_rq.stages.taskwork import TaskWork

__all__ = ["reduced"]

_T = TypeVar("_T")

_BUFFER_BYTES = 256 << 10
_SLICE_PAIRS = 512
_FEW_PAIRS, _MANY_PAIRS = 16, 256
"""One of so many pairs that a reduce gives out is weighed: of few at first, and where they are not small."""
_SMALL_BYTES = 512
_COPIED_BYTES = BLOCK_BYTES // 4
"""Blocks that are smaller are put together."""
_MOST_BYTES = 4 * BLOCK_BYTES
"""Pairs that weigh so much are packed, however few they are."""


def reduced(work: TaskWork, sources: Sequence[Source], out: Path) -> StageResult:
    """Read the task's partition of each source, call init and reduce, write ``out``."""
    functions, spec, params = work.functions, work.spec, work.params
    progress = _Progress(work)
    if _only_copies(work):
        return _concatenated(work, sources, out, progress)
    rows = (_row(functions.reduce_reader, source, work.task.index) for source in sources)
    if _can_confirm(work):
        rows = (_confirmed(row, work, source.name) for row, source in zip(rows, sources, strict=True))
    row = _sorted(rows, work) if spec.sort else chain.from_iterable(rows)
    stream = RecordStream(
        row, is_sorted=spec.sort, has_sorted_values=spec.sort_values, passed=progress.passed
    )
    with RecordWriter(out, memory_bytes=work.memory_bytes) as writer:
        output = _output(functions.reduce_writer, writer, params)
        with _located_errors(stream):
            if functions.reduce_init is not None:
                functions.reduce_init(stream, params)
            _call(work, stream, output)
        output.finish()
    return _result(progress, output, writer)


def _only_copies(work: TaskWork) -> bool:
    """Whether all that is done is to put the pairs of all maps into one file."""
    functions = work.functions
    as_it_is = (functions.reduce_reader, functions.reduce_init, functions.reduce_writer) == (None, None, None)
    return functions.reduce is nop_reduce and as_it_is and not work.spec.sort


def _concatenated(work: TaskWork, sources: Sequence[Source], out: Path, progress: _Progress) -> StageResult:
    """Blocks that are large go as they are, without being packed and compressed again."""
    with RecordWriter(out, memory_bytes=work.memory_bytes) as writer:
        output = _Records(writer)
        for source in sources:
            for block in _confirmed_blocks(work, source):
                progress.passed(block.size)
                if block.kind == Kind.PAIRS and len(block.data) >= _COPIED_BYTES:
                    output.copy(block)
                else:
                    output.pass_on(batches((block,), source.name))
        output.finish()
    return _result(progress, output, writer)


def _confirmed_blocks(work: TaskWork, source: Source) -> Iterator[Block]:
    blocks = source.blocks(work.task.index)
    if _can_confirm(work):
        for block in _to_confirm(blocks, work):
            for _ in _confirmed(batches((block,), source.name), work, source.name):
                yield block
    yield from blocks


def _result(progress: _Progress, output: _Output, writer: RecordWriter) -> StageResult:
    return StageResult(
        entries_in=progress.nr_pairs,
        records_out=output.nr_pairs,
        bytes_out=writer.bytes_out,
        content=writer.content(),
    )


class _Progress:
    def __init__(self, work: TaskWork) -> None:
        self._status, self._interval = work.status, work.spec.status_interval
        self._tell_entries = work.tell_entries
        self.nr_pairs = 0

    def passed(self, nr_pairs: int) -> None:
        before, self.nr_pairs = self.nr_pairs, self.nr_pairs + nr_pairs
        self._tell_entries(self.nr_pairs)
        if self._interval and before // self._interval < self.nr_pairs // self._interval:
            self._status(f"{self.nr_pairs // self._interval * self._interval} entries reduced")


def _row(reader: Callable[..., Iterable[Any]] | None, source: Source, partition: int) -> Iterator[PairBatch]:
    """The pairs of one source."""
    blocks = source.blocks(partition)
    if reader is None:
        yield from batches(blocks, source.name)
        return
    fd = io.BufferedReader(OpaqueStream(blocks, source.name), _BUFFER_BYTES)
    # A reader of ours makes new objects; another may fill one again and again, of any type.
    pairs = entries_of("reduce_reader", reader, reader(fd, None, source.name))
    copy = _itself if reader in (object_reader, netstr_reader) else copied
    while some := list(islice(_pairs_taken_deep(pairs, copy), _SLICE_PAIRS)):
        yield PairBatch([one_nan(key) for key, _ in some], [value for _, value in some], False)


def _can_confirm(work: TaskWork) -> bool:
    """Whether the keys are those that the partition function of the maps was asked about."""
    functions, spec = work.functions, work.spec
    own = functions.partition not in (None, default_partition, total_order) or spec.keeps_partitions
    return own and spec.has_map and spec.nr_reduces > 1 and functions.reduce_reader in (None, object_reader)


def _confirmed(row: Iterator[PairBatch], work: TaskWork, source: str) -> Iterator[PairBatch]:
    """The row, of which the first keys are asked about again."""
    partitioner = Partitioner(work.functions.partition, work.spec.nr_partitions, work.params)
    confirm = partitioner.confirm_kept if work.spec.keeps_partitions else partitioner.confirm
    for batch in _to_confirm(row, work):
        with _without_effects():
            confirm(batch.keys, work.task.index, source)
        yield batch
    yield from row


def _to_confirm(row: Iterator[_T], work: TaskWork) -> Iterator[_T]:
    return row if work.spec.keeps_partitions else islice(row, 1)


@contextmanager
def _without_effects() -> Iterator[None]:
    """What a partition function counts and puts, it did in the map: no second time here."""
    task, effects = runtime.running_task(), runtime.Effects()
    if task is None:
        yield
        return
    task.effects = effects
    try:
        yield
    finally:
        task.effects = None
        task.take_back(effects)


def _sorted(rows: Iterator[Iterator[PairBatch]], work: TaskWork) -> Iterator[PairBatch]:
    one, limit_bytes, values = Partitioner(None, 1, None), work.spec.mem_sort_limit, work.spec.sort_values
    sorter = Sorter(work.scratch, limit_bytes, one, objects=True, values=values)
    sorter.judging = work.functions.reduce_reader is not None or not work.spec.has_map
    for row in rows:
        for batch in row:
            sorter.feed_batch(batch)
        sorter.judging = True  # within the output of one map, as its blocks tell, keys repeat or do not
    return chain.from_iterable(row for _, row in sorter.finish())


def _pairs_taken_deep(pairs: Iterable[Any], copy: Callable[[Any], Any]) -> Iterator[tuple[Any, Any]]:
    for key, value in one_by_one(pairs):
        yield taken_deep(key, copy), taken_deep(value, copy)


def _itself(value: Any) -> Any:
    return value


class _Output(Protocol):
    """The ``out`` of a reduce."""

    nr_pairs: int

    def add(self, key: Any, value: Any) -> None: ...

    def extend(self, pairs: Iterable[tuple[Any, Any]]) -> None: ...

    def finish(self) -> None: ...


def _output(write: Callable[..., None] | None, writer: RecordWriter, params: Any) -> _Output:
    return _Records(writer) if write is None else _Opaque(writer, write, params)


class _Misused:
    """Says of an ``out`` how it is used."""

    def __call__(self, *_: Any, **__: Any) -> NoReturn:
        """It is no function, as other systems have it."""
        raise TaskError("out(key, value): a pair is given out by out.add(key, value)")

    def __iter__(self) -> NoReturn:
        """It holds no values."""
        raise TaskError(
            "for … in out: a reduce is called once, with (pairs, out, params); "
            "for key, values in disco_rq.func.kvgroup(pairs) gives the values of each key"
        )


class _Records(_Misused):
    """Typed pairs, in the order in which the reduce gives them."""

    def __init__(self, writer: RecordWriter) -> None:
        self.nr_pairs = 0
        self._writer = writer
        self._cutter = Cutter()
        self._keys: list[Any] = []
        self._values: list[Any] = []
        self._full = self._unweighed = _FEW_PAIRS
        self._weighed = 0
        self._bytes = 0.0

    def add(self, key: Any, value: Any) -> None:
        """Give out a pair."""
        self._keys.append(taken(key))
        self._values.append(taken(value))
        if len(self._keys) >= self._full:
            self._weigh()

    def extend(self, pairs: Iterable[tuple[Any, Any]]) -> None:
        """Give out many pairs."""
        pairs = _given_out(pairs)
        while True:
            keys, values = taken_columns(islice(pairs, max(self._full - len(self._keys), 1)))
            if not keys:
                break
            self._keys += keys
            self._values += values
            if len(self._keys) >= self._full:
                self._weigh()

    def pass_on(self, batches: Iterable[PairBatch]) -> None:
        """Give out pairs of ours, which nobody changes, column by column."""
        for batch in map(_ungrouped, batches):
            if len(self._keys) + len(batch.keys) < self._cutter.count:  # small blocks of many maps
                self._keys += batch.keys
                self._values += batch.values
                if len(self._keys) >= self._full:
                    self._weigh()
            else:
                self.finish()
                self._pack(batch)

    def copy(self, block: Block) -> None:
        """Give out a block of ours as it is."""
        self.finish()
        self._writer.copy(0, block)
        self.nr_pairs += block.size

    def _weigh(self) -> None:
        weight = average_bytes(self._keys[-1:]) + average_bytes(self._values[-1:])
        nr_pairs = len(self._keys)
        self._bytes += (nr_pairs - self._weighed) * weight
        self._weighed = nr_pairs
        self._unweighed = _MANY_PAIRS if weight < _SMALL_BYTES else _FEW_PAIRS
        if self._bytes > _MOST_BYTES or nr_pairs >= self._cutter.count:
            self.finish()
        else:
            self._full = min(nr_pairs + self._unweighed, self._cutter.count)

    def finish(self) -> None:
        if self._keys:
            keys, self._keys = self._keys, []
            values, self._values = self._values, []
            self._pack(PairBatch(keys, values, False))
            self._full = min(self._unweighed, self._cutter.count)
            self._weighed, self._bytes = 0, 0.0

    def _pack(self, batch: PairBatch) -> None:
        for block in self._cutter.blocks(batch):
            self._writer.add(0, block)
        self.nr_pairs += len(batch.keys)


def _given_out(pairs: Iterable[Any]) -> Iterator[Any]:
    """What ``out.extend`` is called with, if it is pairs: keys of a dict may well look like some."""
    if isinstance(pairs, str | bytes | dict):
        hint = "; its items() are pairs" if isinstance(pairs, dict) else ""
        raise TaskError(f"out.extend takes (key, value) pairs, and got {shown(pairs)}{hint}")
    return iter(pairs)


def _ungrouped(batch: PairBatch) -> PairBatch:
    """One value for each key, as results have them."""
    if not batch.grouped:
        return batch
    keys = chain.from_iterable(map(repeat, batch.keys, map(len, batch.values)))
    return PairBatch(list(keys), list(chain.from_iterable(batch.values)), False, batch.kinds)


class _Opaque(_Misused):
    """What a ``reduce_writer`` makes of the pairs."""

    def __init__(self, writer: RecordWriter, write: Callable[..., None], params: Any) -> None:
        self.nr_pairs = 0
        self._file = OpaqueFile(lambda data: writer.add(0, EncodedBlock(Kind.OPAQUE, len(data), data)))
        self._write = write
        self._params = params

    def add(self, key: Any, value: Any) -> None:
        """Give out a pair."""
        self._write(self._file, key, value, self._params)
        self.nr_pairs += 1

    def extend(self, pairs: Iterable[tuple[Any, Any]]) -> None:
        """Give out many pairs."""
        for key, value in one_by_one(_given_out(pairs)):
            self.add(key, value)

    def finish(self) -> None:
        self._file.hand_on_rest()


def _call(work: TaskWork, stream: RecordStream, output: _Output) -> None:
    """Either form: ``reduce(iter, out, params)``, or ``reduce(iter, params)`` that yields pairs."""
    reduce, params = work.functions.reduce, work.params
    if reduce is nop_reduce and isinstance(output, _Records) and (batches := stream.batches()) is not None:
        output.pass_on(batches)
        return
    takes_out = _takes_out(reduce)
    pairs = reduce(stream, output, params) if takes_out else reduce(stream, params)
    if pairs is None:
        if not takes_out and not runtime.has_put_or_counted():
            # Not an error: it may have written elsewhere. But a forgotten yield is worth a line.
            work.status(
                f"reduce gave nothing: it yields (key, value) pairs, or takes out ({place_of(reduce)})"
            )
        return
    if not isinstance(pairs, Iterable) or isinstance(pairs, str | bytes | dict):
        raise TaskError(
            f"reduce must yield (key, value) pairs, or call out.add, not return {shown(pairs)} "
            f"({place_of(reduce)})"
        )
    try:
        output.extend(pairs)
    except NotAPair as error:
        raise error.of("reduce", reduce) from None


def _takes_out(reduce: Callable[..., Any]) -> bool:
    """Whether it takes three arguments. One that takes any number is asked for what it wraps.

    A third one with a default is an option of its own, as in ``lambda pairs, params, n=n:``; not where the
    second is named ``out``.
    """
    function: Any = reduce
    while True:
        try:
            signature = inspect.signature(function, follow_wrapped=False)
        except (TypeError, ValueError):  # a builtin that does not tell
            return True
        if not (_binds(signature, 3) and _binds(signature, 2)):
            return _binds(signature, 3)
        if not hasattr(function, "__wrapped__"):
            names = [name for name, kind in signature.parameters.items() if kind.kind in _BY_PLACE]
            return len(names) < 3 or names[1] in _NAMES_OF_OUT
        function = function.__wrapped__


_BY_PLACE = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_NAMES_OF_OUT = ("out", "output")


def _binds(signature: inspect.Signature, count: int) -> bool:
    try:
        signature.bind(*[None] * count)
    except TypeError:
        return False
    return True


@contextmanager
def _located_errors(stream: RecordStream) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if stream.grouping:
            error.add_note(f"in key {shown(stream.key)}")
        raise
