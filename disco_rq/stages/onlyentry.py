"""One entry of an input, where a map is given that one only: to look at what it does with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from disco_rq.errors import BadEntryError
from disco_rq.model import shown
from disco_rq.readers.entries import gives_batches
from disco_rq.runtime import running_task

__all__ = ["OnlyEntry"]


class OnlyEntry:
    """The entry with a number, as bad entries have it: those before it that the reader leaves out count."""

    def __init__(self, number: int) -> None:
        """``number``: from 1, in its piece."""
        self.number = number
        self._nth = 0
        self._is_counting = self._is_given = self._in_batches = False

    def begin(self, reader: object) -> None:
        """Another input. What its reader leaves out is no error, unless it is the very entry."""
        self._nth, self._is_counting, self._is_given = 0, False, False
        self._in_batches = gives_batches(reader)
        if (task := running_task()) is not None:
            task.leaves_out = self

    def picked(self, entries: Iterator[Any]) -> Iterator[Any]:
        """Of the entries that are for the map."""
        self._is_counting = True
        for entry in entries:
            self._nth += 1
            if self._nth == self.number:
                self._is_given = True
                yield entry
                return

    def by_reader(self, entry: object, why: str, url: str, offset: int) -> None:  # noqa: ARG002
        """See ``runtime.LeavesOut``; of the map, too, when it has its entry."""
        if not self._is_counting or (self._in_batches and not self._is_given):
            return
        self._nth += not self._is_given
        if self._nth == self.number:
            raise BadEntryError(f"{f'{why}: ' if why else 'a bad entry: '}{shown(entry)}")

    def now_gives(self, byte_of: Callable[[int], int], *, only_last: bool) -> None:
        """Nobody asks where it begins."""
