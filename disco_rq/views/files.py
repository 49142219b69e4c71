"""What a job read and what it wrote."""

from __future__ import annotations

import time
from itertools import chain
from typing import Any

from disco_rq.client.results import first_pairs, results_of
from disco_rq.errors import BadSignature, DiscoError
from disco_rq.model import Phase, TaskId
from disco_rq.redact import redact
from disco_rq.saving import check_outputs, shown_address
from disco_rq.views import shapes
from disco_rq.views.asked import OfJobPage, OfPreview
from disco_rq.views.problem import Problem
from disco_rq.views.sources import Sources
from disco_rq.views.tasks import nr_tasks

__all__ = ["inputs", "preview", "results"]

VALUE_MAX_CHARS = 500
PREVIEW_MAX_BYTES = 2 << 20
"""Of records that lie together: unpacked, they may take thirty times as much memory."""
PREVIEW_MAX_S = 5.0
"""For how long records are read for a preview."""
INPUTS_MAX_BYTES = 4 << 20
"""Of a page of inputs, as they are kept: it ends there."""


def inputs(sources: Sources, asked: OfJobPage) -> shapes.Inputs:
    total = sources.view.head(asked.job).count("nr_maps")
    listed = [
        shapes.InputEntry(
            str(TaskId("map", index)),
            [
                shapes.InputPart([redact(one.url) for one in part], part[0].start, part[0].length)
                for part in given.parts
            ],
        )
        for index, given in sources.browse.inputs(asked.job, asked.offset, asked.limit, INPUTS_MAX_BYTES)
    ]
    return shapes.Inputs(total, asked.offset, asked.limit, listed)


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
    head = sources.view.head(asked.job)
    task = TaskId("reduce" if head.count("nr_reduces") else "map", asked.index)
    [address] = sources.browse.outputs(asked.job, [task])
    if address is None:
        raise Problem("not-found", f"job {asked.job} has no result {asked.index}")
    try:
        check_outputs(asked.job, {task: address}, lambda: sources.disco.session.signed_spec(asked.job))
    except BadSignature as problem:
        return shapes.Preview(asked.index, redact(address), [], False, str(problem))
    records: list[shapes.PreviewRecord] = []
    error = None
    more = False
    deadline = time.monotonic() + PREVIEW_MAX_S
    shown = shown_address(address)
    try:
        found = results_of({task: address}, sources.locator, settled=head.is_ready)
        pairs = chain.from_iterable(first_pairs(one, PREVIEW_MAX_BYTES) for one in found)
        for key, value in pairs:
            more = len(records) == asked.records or time.monotonic() > deadline
            if more:
                break
            records.append(shapes.PreviewRecord(_short(key), _short(value)))
    except DiscoError as problem:  # gone, too large, on a node that is away, of a writer of its own
        error = str(problem)
    return shapes.Preview(asked.index, redact(shown), records, more, error)


def _short(thing: object) -> str:
    text = repr(thing)
    return text if len(text) <= VALUE_MAX_CHARS else f"{text[:VALUE_MAX_CHARS]}…"
