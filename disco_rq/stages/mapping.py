"""Calling a job's map: from inputs to pairs, without a line of Python of ours for an entry or a pair."""

from __future__ import annotations

import operator
import sys
import weakref
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import chain, islice, repeat
from traceback import walk_tb
from types import FrameType, GeneratorType
from typing import Any, BinaryIO

from disco_rq.errors import DataError, TaskError
from disco_rq.func import map_line_reader
from disco_rq.inputs.opening import head_of, offset_of
from disco_rq.inputs.ownreaders import own_reader
from disco_rq.model import Input
from disco_rq.records.pairs import (
    NotAPair,
    entries_of,
    one_by_one,
    place_of,
    taken_columns,
    taken_pairs,
)
from disco_rq.redact import redact
from disco_rq.runtime import Reading, now_reads, running_task
from disco_rq.stages.external import RunningProgram
from disco_rq.stages.guard import Guard, refuse_no_pairs
from disco_rq.stages.initialising import Initialising, Opener
from disco_rq.stages.leaving import Leaving
from disco_rq.stages.rests import Rests
from disco_rq.stages.taskwork import TaskWork

__all__ = ["MappedPairs", "Opener"]

_MANY = sys.maxsize
_STRICT_PAIRS = 5000
"""So many pairs are looked at one by one: who gives out something else does it soon. Later ones in bulk."""
_LOOKED_AT = 1000
"""So many results of the map are looked at, of each input."""
_READERS = ("disco_rq.inputs", "disco_rq.func", "disco_rq.readers", "disco_rq.records")
_TAKERS = ("disco_rq.records.pairs", "disco_rq.records.taken")
_is_not_none: Any = partial(operator.is_not, None)


class MappedPairs:
    """Iterates over all pairs that the map gives for all inputs.

    The pairs come out of a chain of C iterators. How far it has come is read from ``repeat(params)``, which
    is asked once for each entry and knows how often it will still answer.
    """

    def __init__(
        self,
        work: TaskWork,
        inputs: Sequence[tuple[Input, ...]],
        opener: Opener,
        through: Callable[[Iterator[Any]], Iterator[Any]] | None = None,
    ) -> None:
        """``through`` makes other entries of the entries of each input, one of each."""
        functions = work.functions
        self._map = functions.map
        self._reader = functions.map_reader or map_line_reader
        self._initialising = Initialising(work, self._reader, opener, len(inputs))
        self._inputs = inputs
        self._opener = opener
        self._status = work.status
        self._status_interval = work.spec.status_interval
        self._tell_entries = work.tell_entries
        self._rests = Rests()
        self._through = through
        self._before = 0  # entries of the inputs that are done
        self._in_input = 0  # entries of this input before the current piece of it
        self._answers = repeat(work.params, 0)
        self._answered = 0
        self._to_look = _LOOKED_AT  # so many more results of this input are looked at
        self._in_runs = False  # ``runs`` are asked for
        self._url: str | None = None
        self._left_out: list[str] = []  # why replicas of this input before that one are not read
        self._offset = 0  # the byte at which the entries of this input begin
        self._entries: Iterator[Any] = iter(())
        self._running: Generator[Any, None, None] | None = None
        self._ended = False
        self._leaving, self._guard = self._guarded(work)
        self._only = work.only

    def _guarded(self, work: TaskWork) -> tuple[Leaving | None, Guard | None]:
        """What it takes where entries may be bad. The runtime names speak of it from here on."""
        task = running_task()
        if work.bad is None or task is None:
            return None, None
        reads_ahead = self._through is not None
        me = weakref.proxy(self)  # else its open file waits for the collector of circles
        leaving = Leaving(
            work.bad,
            self._reader,
            lambda: me._entry,
            nr_inputs=len(self._inputs),
            reads_ahead=reads_ahead,
        )
        leaving.nr_read = lambda: me.nr_read
        task.leaves_out = leaving
        return leaving, Guard(work, leaving, task)

    def __iter__(self) -> Iterator[Any]:
        self._running = self._pieces()
        return _pairs_in(self._running)

    def runs(self) -> Iterator[tuple[Any, Iterator[Any]]]:
        """The pairs of as many inputs as have the same ``params``, with these. Read each before the next."""
        self._in_runs = True
        self._running = running = self._pieces()
        for first in running:
            pieces = chain((first,), iter(running.__next__, None))
            yield self._initialising.params, _pairs_in(pieces)

    def close(self) -> None:
        """Close the input that is open. Else it stays so for as long as anybody keeps the map's error."""
        if self._running is not None:
            self._running.close()

    @property
    def nr_entries(self) -> int:
        """Entries that were given to the map so far."""
        return self._before + self._entry

    @property
    def nr_read(self) -> int:
        """Entries that were read so far, those that are left out too; of batches their rows."""
        if self._leaving is None or self._guard is None:
            return self.nr_entries
        given = self._guard.nr_rows if self._leaving.in_batches else self.nr_entries
        return given + self._leaving.nr_by_reader

    @property
    def _entry(self) -> int:
        """Entries of the current input that were given to the map."""
        return self._in_input + self._answered - operator.length_hint(self._answers)

    def _pieces(self) -> Generator[Any, None, None]:
        """The map's results: for each input, or for as many entries as there are between two rests.

        Where ``runs`` are asked for, None is between them.
        """
        until_status = self._status_interval or _MANY
        for replicas in self._inputs:
            if self._in_runs and self._initialising.comes_again:
                yield None
            with ExitStack() as opened:
                entries = self._begin(replicas, opened)
                params = self._initialising.params
                while True:
                    until_rest = min(until_status, self._rests.in_a_row)
                    self._answers, self._answered = repeat(params, _MANY), _MANY
                    self._ended = False
                    given = chain(islice(entries, until_rest), self._end())
                    if self._guard is not None:
                        yield self._guard.results(given, self._answers, lambda: self._entry)
                    else:
                        results = filter(_is_not_none, map(self._map, given, self._answers))
                        yield chain(self._first(results), results) if self._to_look else results
                    if not self._ended:  # the chain of iterators took it for its own end
                        raise RuntimeError("map raised StopIteration")
                    in_piece = self._settle()
                    until_status -= in_piece
                    if in_piece < until_rest:
                        break
                    if not until_status:
                        self._status(f"{self.nr_entries} entries mapped")
                        until_status = self._status_interval

    def _begin(self, replicas: tuple[Input, ...], opened: ExitStack) -> Iterator[Any]:
        """Open an input and have ``map_init`` look at it. Returns the entries for the map."""
        self._before += self._in_input
        self._in_input = 0
        self._to_look = _LOOKED_AT
        self._url, self._offset, self._left_out = replicas[0].url, 0, []
        input, fd, size = _first_there(replicas, self._opener, opened, self._left_out)
        self._url = input.url
        own = own_reader(input)
        self._offset = offset_of(fd) if own is None else input.start
        reading = Reading(input.url, self._offset, input.length, partial(head_of, fd))
        now_reads(reading, instead_of=replicas[0].url)
        if self._leaving is not None:
            self._leaving.begin(reading, size)
        reader = own or self._reader
        if self._only is not None:
            self._only.begin(reader)
        self._entries = entries = entries_of("map_reader", reader, reader(fd, size, input.url))
        if self._leaving is not None:
            entries = self._leaving.counted(entries)
        self._initialising.begin(input, entries, reading)
        if self._leaving is not None:
            self._leaving.map_begins()
        if self._only is not None:
            entries = self._only.picked(entries)
        return entries if self._through is None else self._through(entries)

    def _first(self, results: Iterator[Any]) -> Iterator[Any]:
        """Some results, looked at: letters of a word and keys of a dict may well look like pairs."""
        count = 0
        for result in islice(results, self._to_look):
            if isinstance(result, str | bytes | dict):
                refuse_no_pairs(self._map, result)
            count += 1
            yield result
        if count < self._to_look and not self._ended:  # or what comes next would be taken for the rest
            raise RuntimeError("map raised StopIteration")
        self._to_look -= count

    def _end(self) -> Iterator[Any]:
        """Comes behind the entries of a piece: who asks for it has had them all."""
        self._ended = True
        yield from ()

    def _settle(self) -> int:
        """Close a piece, and tell how far the map is. Returns the piece's number of entries."""
        in_piece = self._entry - self._in_input
        self._in_input += in_piece
        self._answered = 0
        self._answers = repeat(None, 0)
        self._rests.rest(in_piece)
        self._tell_entries(self.nr_entries)
        return in_piece

    @contextmanager
    def located_errors(self) -> Iterator[None]:
        """Add to every error where it happened; say clearly that a result is not iterable."""
        try:
            yield
        except Exception as error:
            place = self._place(error)
            if isinstance(error, NotAPair):
                named = error.of("map", self._map)
                named.add_note(place)
                raise named from None
            if _is_ours(error) and _complains_of_result(error):
                raise TaskError(
                    f"map must return or yield (key, value) pairs, or return None: {error} "
                    f"({place_of(self._map)}; {place})"
                ) from None
            if place:
                error.add_note(place)
            for note in self._left_out if isinstance(error, DataError) else []:
                error.add_note(note)
            raise

    def _place(self, error: Exception) -> str:
        if self._url is None:
            return ""
        url = redact(self._url)
        if self._offset:
            url += f", counted from byte {self._offset} (tail -c +{self._offset + 1})"
        frames = [frame for frame, _ in walk_tb(error.__traceback__)]
        codes = {frame.f_code for frame in frames}
        ours = _is_ours(error)
        takers = (one_by_one, taken_columns, taken_pairs, Guard.results)
        in_bulk = codes.isdisjoint(taker.__code__ for taker in takers)
        reading = isinstance(self._entries, GeneratorType) and self._entries.gi_code in codes
        reading = reading or (ours and any(map(_reads, map(_module, frames))))
        if RunningProgram.answers.__code__ in codes and not reading:
            return f"in entry {self._entry + 1} of {url}"
        if ours and in_bulk and isinstance(error, TaskError) and not isinstance(error, DataError):
            return f"noticed at entry {self._entry} of {url}"
        if reading:
            return f"reading entry {self._entry + 1} of {url}"
        number = self._entry if self._leaving is None else self._leaving.number_of(self._entry)
        number = number if self._only is None else self._only.number
        return f"in entry {number} of {url}" if self._entry else f"before the first entry of {url}"


def _pairs_in(pieces: Iterator[Iterator[Iterable[Any]]]) -> Iterator[Any]:
    pairs: Iterator[Any] = chain.from_iterable(chain.from_iterable(pieces))
    return chain(one_by_one(islice(pairs, _STRICT_PAIRS)), pairs)


def _first_there(
    replicas: Sequence[Input], opener: Opener, opened: ExitStack, left_out: list[str]
) -> tuple[Input, BinaryIO, int | None]:
    """The first replica that can be opened. Notes why those before it could not."""
    *others, last = replicas
    for replica in others:
        try:
            return replica, *opened.enter_context(opener(replica))
        except DataError as error:
            left_out.append(f"before it, {error}")
    return last, *opened.enter_context(opener(last))


def _complains_of_result(error: Exception) -> bool:
    """Whether Python could not iterate over what the map returned, or unpack it."""
    text = str(error)
    return isinstance(error, TypeError | ValueError) and ("is not iterable" in text or " unpack" in text)


def _is_ours(error: BaseException) -> bool:
    """Whether no frame of somebody else's is between us and the error."""
    package = __name__.partition(".")[0] + "."
    return all(_module(frame).startswith(package) for frame, _ in walk_tb(error.__traceback__))


def _reads(module: str) -> bool:
    return module.startswith(_READERS) and module not in _TAKERS


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))
