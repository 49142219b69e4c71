"""What a job read and what it wrote."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import chain
from typing import Any

from disco_rq.client.results import first_pairs, results_of
from disco_rq.errors import DiscoError
from disco_rq.model import MapInput, Phase, TaskId
from disco_rq.redact import redact
from disco_rq.saving import check_outputs, shown_address
from disco_rq.views import shapes
from disco_rq.views.asked import OfJobPage, OfPreview, OfResult
from disco_rq.views.lines import text_of
from disco_rq.views.oob import Download
from disco_rq.views.problem import Problem
from disco_rq.views.sources import Sources
from disco_rq.views.tasks import nr_tasks

__all__ = ["download", "inputs", "parts_of", "preview", "results"]

VALUE_MAX_CHARS = 500
PREVIEW_MAX_BYTES = 2 << 20
"""Of records that lie together: unpacked, they may take thirty times as much memory."""
PREVIEW_MAX_S = 5.0
"""For how long records are read for a preview."""
DOWNLOAD_MAX_BYTES = 16 << 20
DOWNLOAD_MAX_S = 20.0
"""So much text of a result, made for so long, is sent; more is for the command line."""
INPUTS_MAX_BYTES = 4 << 20
"""Of a page of inputs, as they are kept: it ends there."""


def inputs(sources: Sources, asked: OfJobPage) -> shapes.Inputs:
    total = sources.view.head(asked.job).count("nr_maps")
    listed = [
        shapes.InputEntry(
            str(TaskId("map", index)),
            parts_of(given),
        )
        for index, given in sources.browse.inputs(asked.job, asked.offset, asked.limit, INPUTS_MAX_BYTES)
    ]
    return shapes.Inputs(total, asked.offset, asked.limit, listed)


def parts_of(given: MapInput) -> list[shapes.InputPart]:
    """What a map reads: which bytes of which files."""
    return [
        shapes.InputPart([redact(one.url) for one in part], part[0].start, part[0].length)
        for part in given.parts
    ]


def results(sources: Sources, asked: OfJobPage) -> shapes.Results:
    """The committed outputs of the last phase, also while it goes on."""
    head = sources.view.head(asked.job)
    phase: Phase = "reduce" if head.count("nr_reduces") else "map"
    total = nr_tasks(head, phase)
    page = range(total)[asked.offset : asked.offset + asked.limit]
    tasks = [TaskId(phase, index) for index in page]
    addresses = sources.browse.outputs(asked.job, tasks)
    rows = sources.tasks.page(asked.job, tasks)
    listed = [
        shapes.Result(index, redact(shown_address(address)), str(row.task), row.records, row.bytes)
        for index, address, row in zip(page, addresses, rows, strict=True)
        if address is not None
    ]
    state: Any = head.fields["status"]
    return shapes.Results(state, total, asked.offset, asked.limit, listed)


def preview(sources: Sources, asked: OfPreview) -> shapes.Preview:
    """The first records of a result."""
    task, address = _result(sources, asked)
    records: list[shapes.PreviewRecord] = []
    error = None
    more = False
    deadline = time.monotonic() + PREVIEW_MAX_S
    try:
        for key, value in _pairs(sources, asked.job, task, address):
            more = len(records) == asked.records or time.monotonic() > deadline
            if more:
                break
            records.append(shapes.PreviewRecord(_short(key), _short(value)))
    except DiscoError as problem:  # gone, too large, on a node that is away, of a writer of its own
        error = str(problem)
    return shapes.Preview(asked.index, redact(shown_address(address)), records, more, error)


def download(sources: Sources, asked: OfResult) -> Download:
    """All of a result as lines of text. ``Problem`` "refused": it is too much for a page."""
    task, address = _result(sources, asked)
    lines: list[bytes] = []
    left, deadline = DOWNLOAD_MAX_BYTES, time.monotonic() + DOWNLOAD_MAX_S
    for key, value in _pairs(sources, asked.job, task, address):
        line = b"%b\t%b\n" % (_text(key), _text(value))
        lines.append(line)
        left -= len(line)
        if left < 0 or time.monotonic() > deadline:
            raise Problem("refused", f"it is too much for a page: disco-rq cat {asked.job}")
    name = f"{asked.job.replace('@', '.')}.{task.phase}.{task.index}.tsv"
    return Download(name, b"".join(lines))


def _result(sources: Sources, asked: OfResult) -> tuple[TaskId, str]:
    """The task that gave it, and where it lies."""
    head = sources.view.head(asked.job)
    task = TaskId("reduce" if head.count("nr_reduces") else "map", asked.index)
    [address] = sources.browse.outputs(asked.job, [task])
    if address is None:
        raise Problem("not-found", f"job {asked.job} has no result {asked.index}")
    return task, address


def _pairs(sources: Sources, job: str, task: TaskId, address: str) -> Iterator[tuple[Any, Any]]:
    """Read bit by bit. Raises ``DiscoError``: it is forged, gone, of a writer of its own."""
    check_outputs(job, {task: address}, lambda: sources.disco.session.signed_spec(job))
    found = results_of({task: address}, sources.locator, settled=sources.view.head(job).is_ready)
    return chain.from_iterable(first_pairs(one, PREVIEW_MAX_BYTES) for one in found)


def _text(thing: object) -> bytes:
    try:
        return text_of(thing)
    except ValueError:  # an int of more digits than Python writes
        return repr(type(thing)).encode()


def _short(thing: object) -> str:
    text = repr(thing)
    return text if len(text) <= VALUE_MAX_CHARS else f"{text[:VALUE_MAX_CHARS]}…"
