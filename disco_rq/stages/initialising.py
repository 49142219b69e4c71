"""Calling ``map_init``: it meets the start of its file, however files are cut and grouped.

A header is often taken here, with a plain ``next(entries)``. So in a piece from the middle of a file the
entries that it may take are those of the file's start, and the piece loses none. Where a task reads several
files, it is called for each one if it takes entries at all, each time with params of its own, as if the file
were alone in its task; else once.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from functools import partial
from typing import Any, BinaryIO

from disco_rq.errors import TaskError
from disco_rq.inputs.opening import head_of
from disco_rq.inputs.ownreaders import own_reader
from disco_rq.model import Input
from disco_rq.records.pairs import entries_of
from disco_rq.redact import redact
from disco_rq.runtime import Reading, now_reads
from disco_rq.stages.taskwork import TaskWork

__all__ = ["Initialising", "Opener", "Reader"]

Opener = Callable[[Input], AbstractContextManager[tuple[BinaryIO, int | None]]]
Reader = Callable[[BinaryIO, int | None, str], Any]


class Initialising:
    """The ``map_init`` of one task, and the ``params`` that the map gets now."""

    def __init__(self, work: TaskWork, reader: Reader, opener: Opener, nr_files: int) -> None:
        self.params = work.params
        self._init = work.functions.map_init
        self._new_params = work.new_params
        self._reader = reader
        self._opener = opener
        self._nr_files = nr_files
        self._last: _Entries | None = None

    @property
    def comes_again(self) -> bool:
        """Whether the next file has ``params`` of its own."""
        return self._last is not None and self._last.was_asked

    def begin(self, input: Input, entries: Iterator[Any], reading: Reading) -> None:
        """Before the first entry of an input. ``reading``: what the entries are read from."""
        if self._init is None:
            return
        is_whole = (input.start == 0 and input.length is None) or own_reader(input) is not None
        if is_whole and self._nr_files == 1:
            self._init(entries, self.params)
            return
        if self._last is not None:
            if not self.comes_again:
                return
            self.params = self._new_params()
        with closing(self._from_start(input, reading)) as start:
            self._last = _Entries(
                entries if is_whole or input.start == 0 else start, "" if is_whole else input.url
            )
            self._init(self._last, self.params)
            self._last.go_on(entries)

    def _from_start(self, input: Input, reading: Reading) -> Generator[Any, None, None]:
        """The entries at the start of the file of which ``input`` is a piece; opened when asked for one."""
        with self._opener(replace(input, start=0, length=input.start)) as (fd, size):
            first = Reading(input.url, 0, input.start, partial(head_of, fd))
            now_reads(first)
            try:
                entries = entries_of("map_reader", self._reader, self._reader(fd, size, input.url))
                while True:
                    now_reads(first)
                    try:
                        entry = next(entries)
                    except StopIteration:
                        return
                    now_reads(reading)
                    yield entry
            finally:
                now_reads(reading)


class _Entries:
    """What ``map_init`` gets: an iterator that knows whether it was asked. A map may keep and use it, too."""

    def __init__(self, entries: Iterator[Any], piece_of: str) -> None:
        """``piece_of``: the address of a file that was cut: it must not seem to end with a piece."""
        self.was_asked = False
        self._entries = entries
        self._piece_of = piece_of

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        self.was_asked = True
        try:
            return next(self._entries)
        except StopIteration:
            if not self._piece_of:
                raise
            raise TaskError(
                f"map_init takes more entries than the first piece of {redact(self._piece_of)} has: "
                "split_size=None leaves files whole"
            ) from None

    def go_on(self, entries: Iterator[Any]) -> None:
        """``map_init`` has returned: from here on it gives the entries that the map gets."""
        self._entries, self._piece_of = entries, ""
