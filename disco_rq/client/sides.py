"""Inputs with maps of their own: which functions a job has, and which of its inputs each map reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from disco_rq.client.functions import check_arity, looked_at
from disco_rq.errors import JobArgumentError
from disco_rq.external import ExternalProgram
from disco_rq.inputs.given import Entry, OwnMap
from disco_rq.model import Functions, Side

__all__ = ["Share", "shared_out"]


@dataclass(frozen=True, slots=True)
class Share:
    """Inputs, one after the other, that the same map reads."""

    side: int | None  # of ``Functions.sides``; None: of the only map, if there is one
    entries: list[Entry]


def shared_out(
    given: Sequence[Entry | OwnMap], arguments: Mapping[str, Any]
) -> tuple[Functions, list[Share]]:
    """The functions of the job, and what each map reads, in the order of the inputs.

    An input without a map of its own is for the job's ``map``; one without a reader of its own is read by the
    job's ``map_reader``. ``JobArgumentError`` names the entry.
    """
    own = [entry for entry in given if isinstance(entry, OwnMap)]
    if not own:
        return looked_at(arguments), [Share(None, [one for one in given if not isinstance(one, OwnMap)])]
    job_map, job_reader = arguments.get("map"), arguments.get("map_reader")
    if isinstance(job_map, ExternalProgram):
        raise JobArgumentError("map is a program: inputs with maps of their own take Python functions only")
    for number, entry in enumerate(given):
        if isinstance(entry, OwnMap):
            _check(entry, f"input[{number}]")
    functions = looked_at({**arguments, "map": own[0].map if job_map is None else job_map})
    sides: list[Side] = []
    shares: list[Share] = []
    for number, entry in enumerate(given):
        if isinstance(entry, OwnMap):
            reader = job_reader if entry.map_reader is None else entry.map_reader
            side, entries = Side(entry.map, reader), entry.entries
        elif job_map is None:
            raise JobArgumentError(f"input[{number}] has no map of its own, and the job has no map for it")
        else:
            side, entries = Side(job_map, job_reader), [entry]
        index = _index(sides, side)
        if shares and shares[-1].side == index:
            shares[-1].entries.extend(entries)
        else:
            shares.append(Share(index, list(entries)))
    return replace(functions, sides=tuple(sides)), shares


def _check(entry: OwnMap, place: str) -> None:
    if isinstance(entry.map, ExternalProgram):
        raise JobArgumentError(f"{place}: the map of an input is a Python function, and not a program")
    if entry.map_reader is not None and not callable(entry.map_reader):
        raise JobArgumentError(f"{place}: its reader is no function: ({place}, map, map_reader)")
    try:
        check_arity("map", entry.map)
        if entry.map_reader is not None:
            check_arity("map_reader", entry.map_reader)
    except JobArgumentError as error:
        raise JobArgumentError(f"{place}: {error}") from None


def _index(sides: list[Side], side: Side) -> int:
    """Its place among the sides, where it is put if it is not there."""
    for index, known in enumerate(sides):
        if known.map is side.map and known.map_reader is side.map_reader:
            return index
    sides.append(side)
    return len(sides) - 1
