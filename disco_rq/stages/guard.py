"""The map of a job that may have bad entries: an entry's pairs go on when they are all there."""

from __future__ import annotations

from bdb import BdbQuit
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from types import GeneratorType
from typing import Any

from disco_rq.errors import DiscoError, TaskError
from disco_rq.func import sum_combiner
from disco_rq.machine.exhaustion import is_exhaustion
from disco_rq.model import shown
from disco_rq.records import FileSource, PairBatch, RecordWriter, batches
from disco_rq.records.pairs import NotAPair, is_pair, place_of
from disco_rq.records.taken import PLAIN, taken, taken_deep
from disco_rq.runtime import Effects, RunningTask
from disco_rq.shuffle.cutting import Cutter
from disco_rq.shuffle.grouping import pairs_of
from disco_rq.shuffle.memory import PAIR_BYTES, SAMPLE, SLICE_PAIRS, average_bytes
from disco_rq.stages.leaving import Leaving
from disco_rq.stages.taskwork import TaskWork

__all__ = ["Guard", "is_bad_entry"]

_SLICE_BYTES = 1 << 20
_A_BATCH = "a batch is many rows: where max_bad is a part of them, skip_entry(row) names those that are bad"


def is_bad_entry(error: Exception) -> bool:
    """Whether what a map has raised speaks of its entry, and not of the job or of the node."""
    other = isinstance(error, DiscoError | OSError | MemoryError | BdbQuit)
    return not other and not is_exhaustion(error)


class Guard:
    """Calls the map of one task. Of a bad entry no pair, counter or OOB result stays.

    Pairs that come in a list are there already. Others are held until the last one; beyond an eighth of
    ``mem_sort_limit`` they are on the disk.
    """

    def __init__(self, work: TaskWork, leaving: Leaving, task: RunningTask) -> None:
        functions = work.functions
        self._map = functions.map
        self._leaving = leaving
        self._task = task
        self.nr_rows = 0
        """Of the batches that the map was given."""
        self._spill_path = work.scratch / ".entry"
        self._limit_bytes = work.spec.mem_sort_limit // 8
        self._slice = SAMPLE
        self._is_fraction = work.spec.max_bad < 1
        takes_any = functions.map_writer is not None or functions.combiner not in (None, sum_combiner)
        # Whoever takes a pair at once, of any type, may be given one object that is filled again and again.
        self._taken: Callable[[Any], Any] = taken_deep if takes_any else taken

    def results(
        self, entries: Iterator[Any], answers: Iterator[Any], nr_given: Callable[[], int]
    ) -> Iterator[Iterable[Any]]:
        """The pairs of each entry that is not bad. ``answers``: the map's ``params``, once for each entry."""
        call, task, leaving, effects = self._map, self._task, self._leaving, Effects()
        in_batches = leaving.in_batches
        for entry, params in zip(entries, answers, strict=False):
            task.effects = effects
            bad = None
            try:
                result = call(entry, params)
                pairs = self._whole(result) if result is not None else ()
            except Exception as error:
                if not is_bad_entry(error):
                    raise
                if in_batches and self._is_fraction:
                    error.add_note(_A_BATCH)
                    raise
                bad = error
            finally:
                task.effects = None
            if in_batches:
                self.nr_rows += getattr(entry, "num_rows", 1)
            if bad is not None:
                task.take_back(effects)
                skipped, effects = effects.skipped, Effects()
                what = (entry, bad) if in_batches or not skipped else skipped[0]
                bad = None  # its traceback has this very frame, and with it all that is open
                try:
                    leaving.by_map(nr_given(), *what)
                finally:
                    del what
                continue
            if effects.are_some:
                done, effects = effects, Effects()
                if done.skipped and not self._counts(nr_given(), entry, done):
                    continue
            yield pairs

    def _counts(self, nth: int, entry: object, effects: Effects) -> bool:
        """Whether the pairs of an entry count of which something was left out: those of a batch do."""
        skipped = effects.skipped
        if self._leaving.in_batches and all(row is not entry for row, _ in skipped):
            for row, why in skipped:
                self._leaving.by_map(nth, row, why)
            return True
        self._task.take_back(effects)
        self._leaving.by_map(nth, *skipped[0])
        return False

    def _whole(self, result: Any) -> Iterable[Any]:
        kind, most = type(result), self._slice
        if kind is list or kind is tuple:
            return result  # type: ignore[no-any-return]
        if kind is not GeneratorType:
            refuse_no_pairs(self._map, result)
            result = iter(result)
        some = self._take(result, most)
        return some if len(some) < most else self._many(some, result)

    def _take(self, pairs: Iterator[Any], most: int) -> list[Any]:
        """Some pairs as they are now."""
        some: list[Any] = []
        add, take = some.append, self._taken
        key_kind = value_kind = None  # the last ones that cannot change
        for pair in islice(pairs, most):
            if pair.__class__ is not tuple:
                if not is_pair(pair):
                    raise NotAPair(pair)
                pair = tuple(pair)
            try:
                key, value = pair
            except ValueError:
                raise NotAPair(pair) from None
            if key.__class__ is not key_kind or value.__class__ is not value_kind:
                if type(key) in PLAIN and type(value) in PLAIN:
                    key_kind, value_kind = type(key), type(value)
                else:
                    pair = take(key), take(value)
            add(pair)
        return some

    def _many(self, some: list[Any], pairs: Iterator[Any]) -> Iterable[Any]:
        """All pairs of an entry that gives many, of which these are the first."""
        held, held_bytes = some, 0.0
        spilled: _Spilled | None = None
        try:
            while some:
                weight = _weight(some)
                self._slice = min(max(int(_SLICE_BYTES / weight), SAMPLE), SLICE_PAIRS)
                held_bytes += weight * len(some)
                if held_bytes > self._limit_bytes:
                    spilled = spilled or _Spilled(self._spill_path)
                    if spilled.took(held):
                        held, held_bytes = [], 0.0
                some = self._take(pairs, self._slice)
                held += some
        finally:
            if spilled is not None:
                spilled.close()
        return held if spilled is None else chain(spilled.pairs(), held)


class _Spilled:
    """Pairs of one entry, in a file that only this process reads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer = RecordWriter(path)
        self._cutter = Cutter(objects=True)

    def took(self, pairs: list[Any]) -> bool:
        """False: something among them cannot be pickled, and they stay where they are."""
        keys, values = [key for key, _ in pairs], [value for _, value in pairs]
        try:
            blocks = list(self._cutter.blocks(PairBatch(keys, values, False)))
        except Exception:  # noqa: BLE001  whatever pickling raises
            return False
        for block in blocks:
            self._writer.add(0, block)
        return True

    def close(self) -> None:
        self._writer.close()

    def pairs(self) -> Iterator[Any]:
        """All of them, in order."""
        name = str(self._path)
        found = batches(FileSource(self._path, name).blocks(0), name, objects=True)
        return chain.from_iterable(map(pairs_of, found))


def refuse_no_pairs(function: Callable[..., Any], result: Any) -> None:
    """``TaskError`` if a map gave what only looks like pairs, or cannot be iterated over."""
    if isinstance(result, str | bytes | dict):
        hint = "its items() are pairs" if isinstance(result, dict) else f"{result[:1]!r} is not a pair"
        raise TaskError(
            f"map must return or yield (key, value) pairs, and gave the {type(result).__qualname__} "
            f"{shown(result)}; {hint} ({place_of(function)})"
        )
    if not isinstance(result, Iterable):
        raise TaskError(
            f"map must return or yield (key, value) pairs, or return None: "
            f"{type(result).__name__!r} object is not iterable ({place_of(function)})"
        )


def _weight(pairs: list[Any]) -> float:
    """Bytes that one of the pairs takes."""
    sample = pairs[:: len(pairs) // SAMPLE + 1]
    return PAIR_BYTES + sum(average_bytes([pair[i] for pair in sample]) for i in (0, 1))
