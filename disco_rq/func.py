"""Ready-made job functions: readers, writers, combiners, reduces and partitions, as in Disco.

Readers are called ``reader(fd, size, fname)`` with an open binary file, its size in bytes or None, and its
address. Those that have options are made by calling them: ``map_reader=func.text_reader("utf-16")``.
So are pieces, each a combiner and a reduce: ``combiner, reduce = func.top_n(10)``.
Writers are called ``writer(fd, key, value, params)`` with a file that takes bytes.
"""

from __future__ import annotations

import codecs
import pickle
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, BinaryIO, Protocol

import cloudpickle

from disco_rq.errors import DataError, NotInTask
from disco_rq.pieces.making import (
    count_distinct,
    first_of_group,
    join,
    max_of_group,
    mean_of_group,
    min_of_group,
    top_n,
    whole,
)
from disco_rq.pieces.sums import TopKeys
from disco_rq.readers import map_line_reader
from disco_rq.readers.expressions import matches
from disco_rq.readers.making import (
    bytes_lines,
    csv_batches,
    csv_reader,
    file_reader,
    jsonl_batches,
    jsonl_reader,
    parquet_batches,
    parquet_reader,
    text_reader,
)
from disco_rq.records import read_pairs
from disco_rq.records.netstr import netstr_pairs
from disco_rq.records.pairs import shown
from disco_rq.runtime import msg, this_offset
from disco_rq.shuffle.folding import Aggregate
from disco_rq.shuffle.grouping import RecordStream, kvgroup
from disco_rq.shuffle.partition import default_partition, make_range_partition
from disco_rq.shuffle.ranges import total_order
from disco_rq.shuffle.summing import not_summed

__all__ = [
    "at_start",
    "bytes_lines",
    "chain_reader",
    "count_distinct",
    "csv_batches",
    "csv_reader",
    "default_partition",
    "file_reader",
    "first_of_group",
    "join",
    "jsonl_batches",
    "jsonl_reader",
    "kvgroup",
    "make_range_partition",
    "map_line_reader",
    "max_of_group",
    "mean_of_group",
    "min_of_group",
    "netstr_reader",
    "netstr_writer",
    "nop_map",
    "nop_reduce",
    "object_reader",
    "object_writer",
    "parquet_batches",
    "parquet_reader",
    "re_reader",
    "sum_combiner",
    "sum_reduce",
    "text_reader",
    "top_keys",
    "top_n",
    "total_order",
]


class Output(Protocol):
    """The ``out`` of a reduce."""

    def add(self, key: Any, value: Any) -> None:
        """Give out a pair."""

    def extend(self, pairs: Iterable[tuple[Any, Any]]) -> None:
        """Give out many pairs, faster."""


def at_start() -> bool:
    """Whether the piece that a map reads now begins with the start of its file: where a header is."""
    return this_offset() == 0


def chain_reader(fd: BinaryIO, size: int | None, fname: str) -> Iterator[tuple[Any, Any]]:  # noqa: ARG001
    """The ``(key, value)`` pairs of another job's result. ``CorruptData`` if not whole.

    A ``map_reader``, and a ``reader`` of ``result_iterator``; a reader that calls it is as good.
    """
    return read_pairs(fd, fname)


def netstr_writer(fd: BinaryIO, key: Any, value: Any, params: Any) -> None:  # noqa: ARG001
    r"""Write ``<length> <key> <length> <value>\n``: bytes as they are, all else as ``str()`` in UTF-8."""
    packed_key, packed_value = _as_bytes(key), _as_bytes(value)
    fd.write(b"%d %b %d %b\n" % (len(packed_key), packed_key, len(packed_value), packed_value))


def _as_bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape")


def netstr_reader(fd: BinaryIO, size: int | None, fname: str) -> Iterator[tuple[str, str]]:  # noqa: ARG001
    """The pairs that ``netstr_writer`` wrote, as text (UTF-8 with ``surrogateescape``).

    Raises ``DataError`` if the input is truncated or no row of netstrings.
    """
    for key, value in netstr_pairs(fd, fname):
        yield key.decode("utf-8", "surrogateescape"), value.decode("utf-8", "surrogateescape")


def object_writer(fd: BinaryIO, key: Any, value: Any, params: Any) -> None:  # noqa: ARG001
    """Write a pair of anything that pickle or cloudpickle takes; ``object_reader`` reads it.

    Objects of classes that came with the job's functions are larger: each brings its class along.
    """
    netstr_writer(fd, _pickled(key), _pickled(value), None)


def _pickled(value: Any) -> bytes:
    try:
        return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    except (pickle.PicklingError, AttributeError, TypeError):
        # A class of the user's program was shipped by value: no module of this process has it.
        packed: bytes = cloudpickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        return packed


def object_reader(fd: BinaryIO, size: int | None, fname: str) -> Iterator[tuple[Any, Any]]:  # noqa: ARG001
    """The pairs that ``object_writer`` wrote. Unpickling runs code: read only what your own jobs wrote."""
    for key, value in netstr_pairs(fd, fname):
        yield pickle.loads(key), pickle.loads(value)


def re_reader(
    item_re_str: str,
    fd: BinaryIO,
    size: int | None,
    fname: str,
    output_tail: bool = False,
    read_buffer_size: int = 8192,
) -> Iterator[Any]:
    """The groups of each match of ``item_re_str``, one match right behind the other, as tuples of text.

    The rest that does not match comes as ``[rest]`` with ``output_tail``; otherwise it is left out, with a
    message to the job. In a reader: ``lambda fd, size, fname: re_reader(r"(.*?)\\n\\n", fd, size, fname)``.
    A match counts as in the whole text, if what decides it lies less than 64 Ki characters behind its end, or
    ``read_buffer_size`` where that is more. Raises ``DataError`` if the input ends before ``size`` bytes,
    ``WrongContent`` if a match has no end in 64 Mi characters.
    """
    if read_buffer_size < 1:
        raise ValueError(f"re_reader(read_buffer_size={read_buffer_size}): it is at least 1")
    rest = yield from matches(
        re.compile(item_re_str), _texts(fd, size, fname, read_buffer_size), fname, ahead=read_buffer_size
    )
    if rest and output_tail:
        yield [rest]
    elif rest:
        with suppress(NotInTask):
            msg(f"Couldn't match the last {len(rest)} characters of {fname}: they are left out")


def _texts(fd: BinaryIO, size: int | None, fname: str, buffer_size: int) -> Iterator[str]:
    """So many bytes at a time. Raises ``DataError`` if there are fewer than ``size``."""
    decode = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode
    total = 0
    while data := fd.read(buffer_size if size is None else min(buffer_size, size - total)):
        total += len(data)
        yield decode(data)
    if size is not None and total < size:
        raise DataError(f"truncated input {fname}: {size} bytes expected, {total} read", fname)
    yield decode(b"", True)


def nop_map(e: Any, params: Any) -> list[Any]:  # noqa: ARG001
    """Pass entries that are pairs already, such as those of ``chain_reader``."""
    return [e]


def nop_reduce(iter: Iterable[tuple[Any, Any]], out: Output, params: Any) -> None:  # noqa: ARG001
    """Pass all pairs."""
    out.extend(iter)


def sum_combiner(
    key: Any,
    value: Any,
    comb_buffer: dict[Any, Any],
    done: bool,
    params: Any,  # noqa: ARG001
) -> Iterable[tuple[Any, Any]] | None:
    """Sum the values of each key, already in the map. The keys must be hashable.

    A task knows this combiner and inlines it; when memory gets short a key's sum may come in several parts.
    """
    if done:
        return comb_buffer.items()
    comb_buffer[key] = comb_buffer.get(key, 0) + value
    return None


def sum_reduce(iter: Iterable[tuple[Any, Any]], out: Output, params: Any) -> None:  # noqa: ARG001
    """Sum the values of each key. With ``sort=True`` in bounded memory, else with all sums in memory."""
    if isinstance(iter, RecordStream) and iter.is_sorted:
        out.extend((key, _sum(key, values)) for key, values in kvgroup(iter))
        return
    sums: defaultdict[Any, Any] = defaultdict(int)
    for key, value in iter:
        try:
            sums[key] += value
        except TypeError as error:
            what = f"the value {shown(value)}"
            hashes = "with sort=True it takes any key"
            raise not_summed("sum_reduce", key, what, error, hashes=hashes) from error
    out.extend(sums.items())


def _sum(key: Any, values: Iterable[Any]) -> Any:
    try:
        return sum(values)
    except TypeError as error:
        raise not_summed("sum_reduce", key, "the values", error) from error


def top_keys(n: int) -> Aggregate:
    """The ``n`` keys with the largest sums of their values, the largest first: ``(key, sum)``.

    Each reduce gives its own: of all keys with ``nr_reduces=1``. Where sums are equal the least key comes
    first. Values are numbers; a sum that is NaN comes last.
    """
    return Aggregate(sum_combiner, TopKeys(whole("top_keys", "n", n)))
