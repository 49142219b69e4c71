"""Reads files through the plan, piece by piece, as maps do."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

from disco_rq.inputs import open_input, plan_inputs
from disco_rq.inputs.opening import head_of, offset_of
from disco_rq.model import Input, JobSpec, TaskId
from disco_rq.readers import borders_of
from disco_rq.runtime import Reading, RunningTask, Services, enter_task, now_reads

SPEC = JobSpec("readers@20261129-100000-aaaa", nr_maps=1, nr_reduces=0, has_map=True, has_reduce=False)


def planned(address: str | Path, reader: Any, split_size: int | None) -> list[Input]:
    plan = plan_inputs(
        [str(address)],
        line_based=getattr(reader, "line_based", False),
        split_size=split_size,
        borders=borders_of(reader),
    )
    return [task.parts[0][0] for task in plan]


def read(address: str | Path, reader: Any, split_size: int | None = None) -> list[Any]:
    """All entries of a file, of its pieces one after the other."""
    return [entry for entries in read_pieces(address, reader, split_size) for entry in entries]


def read_pieces(address: str | Path, reader: Any, split_size: int | None) -> list[list[Any]]:
    return [in_task(piece, reader) for piece in planned(address, reader, split_size)]


def in_task(piece: Input, reader: Any, then: Callable[[Any], Any] = list) -> Any:
    services = cast("Services", None)  # a reader reaches nothing outside
    task = RunningTask(
        SPEC, TaskId("map", 0), "here", master=str, inputs=lambda: [piece.url], services=services
    )
    enter_task(task)
    try:
        with open_input(piece) as (fd, size):
            now_reads(Reading(piece.url, offset_of(fd), piece.length, partial(head_of, fd)))
            return then(reader(fd, size, piece.url))
    finally:
        enter_task(None)
