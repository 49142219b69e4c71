"""Where the bad entries of a map are: their numbers, and the bytes at which they begin."""

from __future__ import annotations

import operator
import sys
from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator
from itertools import compress, repeat
from typing import Any

from disco_rq.readers.entries import gives_batches, tells_begins
from disco_rq.redact import redact
from disco_rq.runtime import Reading, is_read_now
from disco_rq.stages.taskwork import KeepsBad

__all__ = ["Leaving"]

_MANY = sys.maxsize
_NO_WHY = "left out"
_LOOK_EACH = 100


class Leaving:
    """Of one map. Entries are counted without a line of Python for each: by what a ``repeat`` still holds."""

    def __init__(
        self,
        kept: KeepsBad,
        reader: object,
        nr_given: Callable[[], int],
        *,
        nr_inputs: int,
        reads_ahead: bool,
    ) -> None:
        """``nr_given``: entries of the current input that the map was given. ``nr_inputs``: of its task.
        ``reads_ahead``: others may be read while it is at one.
        """
        self.nr_read: Callable[[], int] = lambda: 0
        """Entries that were read so far, of all inputs."""
        self._nr_inputs = nr_inputs
        self._nr_begun = self._nr_kept = 0
        self._size: int | None = None
        self.in_batches = gives_batches(reader)
        """An entry of the map is many rows, and it is rows that are bad."""
        self.nr_by_reader = 0
        self._kept = kept
        self._tells = tells_begins(reader)
        self._reads_ahead = reads_ahead
        self._nr_given = nr_given
        self._reading = Reading()
        self._still = repeat(True, 0)
        self._before_map = 0  # entries of this input that map_init has taken
        self._gaps = array("q")  # for each that the reader has left out, how many it had given
        self._told: deque[tuple[int, Callable[[int], int]]] = deque()  # the same, and where the next begin

    def begin(self, reading: Reading, size: int | None) -> None:
        """Another input; its reader was not called yet. ``size``: its bytes, if that is known."""
        self._nr_begun += 1
        self._reading, self._size = reading, size
        self._still = repeat(True, _MANY)
        self._before_map = 0
        self._gaps = array("q")
        self._told.clear()

    def counted(self, entries: Iterator[Any]) -> Iterator[Any]:
        """The entries of the reader."""
        return compress(entries, self._still)

    def map_begins(self) -> None:
        """What comes now is for the map."""
        self._before_map = self._nr_read

    def number_of(self, nth: int) -> int:
        """The number in its piece of the n-th entry that the map was given of this input."""
        return nth if self.in_batches else nth + bisect_right(self._gaps, self._before_map + nth - 1)

    def by_map(self, nth: int, entry: object, error: Exception | str) -> None:
        """The n-th entry that the map was given is bad. ``error``: what it raised, or ``skip_entry`` told."""
        url, offset = redact(self._reading.url or ""), self._byte_of(nth)
        self._kept.keep(url, offset, self.number_of(nth), entry, error or _NO_WHY)
        self._look(offset)

    def by_reader(self, entry: object, why: str, url: str, offset: int) -> None:
        """The reader leaves an entry out, which the map does not get."""
        if is_read_now() is not self._reading:
            return  # map_init looks at the start of the file: who reads that piece tells
        number = self._nr_read - self._before_map + 1
        if not self.in_batches:
            number += len(self._gaps)
            self._gaps.append(self._nr_read)
        self.nr_by_reader += 1
        self._kept.keep(redact(url), offset, number, entry, why or _NO_WHY)
        self._look(offset)

    def now_gives(self, byte_of: Callable[[int], int], *, only_last: bool) -> None:
        """See ``runtime.entries_begin``."""
        if not self._tells or (only_last and self._reads_ahead) or is_read_now() is not self._reading:
            return
        last = self._before_map + self._nr_given() - 1
        while len(self._told) > 1 and self._told[1][0] <= last:
            self._told.popleft()
        self._told.append((self._nr_read, byte_of))

    def _look(self, offset: int) -> None:
        """Now and then: how far the task is, where that can be told by the bytes of its inputs."""
        self._nr_kept += 1
        if self._nr_kept % _LOOK_EACH == 0 and self._size and offset > self._reading.offset:
            share = (self._nr_begun - 1 + (offset - self._reading.offset) / self._size) / self._nr_inputs
            self._kept.look(self.nr_read(), min(share, 0.999))

    @property
    def _nr_read(self) -> int:
        return _MANY - operator.length_hint(self._still)

    def _byte_of(self, nth: int) -> int:
        at = self._before_map + nth - 1
        for first, byte_of in reversed(self._told):
            if first <= at:
                return byte_of(at - first)
        return self._reading.offset
