"""The bad entries of a job, by page, read where they lie."""

from __future__ import annotations

from itertools import islice
from typing import Any

from disco_rq.client.badentries import bad_entries
from disco_rq.errors import DiscoError
from disco_rq.model import BadEntry, readable
from disco_rq.store.badentries import BadTasks
from disco_rq.views import shapes
from disco_rq.views.asked import OfJobPage
from disco_rq.views.sources import Sources

__all__ = ["bad", "entry_text"]

TEXT_MAX_CHARS = 4_000
"""Of an entry and of a traceback; all of them are for the command line."""
SHORT_MAX_CHARS = 500


def bad(sources: Sources, asked: OfJobPage) -> shapes.BadPage:
    """Of the tasks that are done. ``error``: why some cannot be read."""
    sources.view.head(asked.job)
    tasks = BadTasks(sources.connection).of(asked.job)
    found: list[shapes.BadEntry] = []
    error = None
    try:
        given = bad_entries(sources.locator, asked.job, tasks, asked.offset)
        for one in islice(given, asked.limit):
            found.append(_shown(one))
    except DiscoError as problem:
        error = str(problem)
    total = sum(task.nr_bad for task in tasks)
    return shapes.BadPage(total, asked.offset, asked.limit, found, error)


def _shown(bad: BadEntry) -> shapes.BadEntry:
    text = entry_text(bad.entry)
    return shapes.BadEntry(
        task=bad.task,
        url=readable(bad.url[:SHORT_MAX_CHARS]),
        offset=bad.offset,
        number=bad.number,
        entry=text[:TEXT_MAX_CHARS],
        truncated=len(text) > TEXT_MAX_CHARS,
        error=readable(bad.error[:SHORT_MAX_CHARS]),
        traceback=readable(bad.traceback[-TEXT_MAX_CHARS:]),
    )


def entry_text(entry: Any) -> str:
    """An entry as text: text and bytes as they are, all else as Python writes it."""
    if isinstance(entry, bytes):
        return entry.decode("utf-8", "backslashreplace")
    return readable(entry if isinstance(entry, str) else repr(entry))
