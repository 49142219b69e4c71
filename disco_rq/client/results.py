"""The results of jobs, read where the client is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from html import escape
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from disco_rq.errors import DataError
from disco_rq.model import Phase, TaskId
from disco_rq.outputs.addresses import split_address
from disco_rq.outputs.datadir import TMP
from disco_rq.outputs.locator import Locator
from disco_rq.outputs.remote import NETWORK_ERRORS, ask_now, open_remote, reason
from disco_rq.outputs.underway import SUFFIX, TAIL_BYTES, SoFar, so_far
from disco_rq.outputs.wire import ENTRIES
from disco_rq.records import nr_partitions_of, open_output, read_pairs
from disco_rq.redact import redact
from disco_rq.saving import files_of, is_saved, read_saved, settle, shown_address

T = TypeVar("T")
_NUMBER = re.compile(r"[0-9]{1,19}")

SHOWN_IN_A_CELL = 10
BESIDE_MAX_BYTES = 16 << 20
"""Of a file beside an output: a log ends at 64 KiB, and a profile has a line for each function."""


class Result(str):
    """The address of a result, which knows the cluster that it comes from. Elsewhere it is a plain text."""

    __slots__ = ("locator",)
    locator: Locator

    @classmethod
    def of(cls, address: str, locator: Locator) -> Result:
        """``locator``: of the cluster."""
        result = cls(address)
        result.locator = locator
        return result

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (str(self),)  # connections do not travel


class Results(list[str]):
    """Addresses of a job's results, in order."""

    def __init__(self, addresses: Iterable[str], locator: Locator) -> None:
        """``locator``: of the cluster that they come from."""
        super().__init__(Result.of(address, locator) for address in addresses)

    def _repr_html_(self) -> str:
        """In a notebook: how many, the first ones, and what reads them."""
        rows = [escape(redact(address)) for address in self[:SHOWN_IN_A_CELL]]
        if len(self) > len(rows):
            rows.append(f"and {len(self) - len(rows)} more")
        table = "".join(f"<tr><td>{row}</td></tr>" for row in rows)
        number = "1 result" if len(self) == 1 else f"{len(self)} results"
        return f"<div>{number}; <code>result_iterator</code> reads the pairs<table>{table}</table></div>"


def results_of(
    outputs: Mapping[TaskId, str], locator: Locator, *, settled: bool, phase: Phase | None = None
) -> Results:
    """The results among the committed ``outputs`` (task -> address): those of a phase, in order; by default
    of the last.

    ``settled``, for a job that is ready: saved ones are all there under their final names. Else no file
    system needs to answer.
    """
    phase = phase or ("reduce" if any(task.phase == "reduce" for task in outputs) else "map")
    addresses = [outputs[task] for task in sorted(outputs) if task.phase == phase]
    if settled:
        settle([address for address in addresses if is_saved(address)])
        return Results(files_of(addresses), locator)
    try:
        return Results(files_of(addresses), locator)
    except DataError:
        return Results(map(shown_address, addresses), locator)


def first_pairs(address: str, most_bytes: int) -> Iterator[tuple[Any, Any]]:
    """The pairs of one of ``Results``, as long as those that lie together take no more than ``most_bytes``,
    and a saved one has no more of them to be read. ``DataError`` then, and as ``result_iterator``.
    """
    if is_saved(address):
        yield from read_saved(address, most_bytes=most_bytes)
        return
    assert isinstance(address, Result)
    path = address.locator.path(address)
    if path is not None and not path.exists():
        raise DataError("the result is gone: was its job purged, or its cluster closed?", url=address)
    with nullcontext(path) if path is not None else open_remote(address.locator, address) as file:
        yield from read_pairs(file, address, most_bytes=most_bytes)


def count_partitions(locator: Locator, address: str) -> int:
    """How many partitions a result on a node has. Raises ``DataError`` if it cannot be read."""
    path = locator.path(address)
    try:
        with _opened(path) if path is not None else open_remote(locator, address) as file:
            return nr_partitions_of(file, address)
    except OSError as error:
        raise DataError(f"cannot be read: {reason(error)}", address) from error


def _opened(path: Path) -> BinaryIO:
    return open_output(open(path, "rb"), path.name)


def read_log(locator: Locator, address: str) -> str:
    """What the attempt printed whose output has the address; empty if nothing."""
    return (read_beside(locator, address, ".log") or b"").decode(errors="replace")


def read_so_far(locator: Locator, address: str) -> SoFar:
    """How far the attempt is that runs, whose output will have the address; ``DataError`` if its node cannot
    be read.
    """
    path = locator.path(address)
    if path is not None:
        return so_far(path.parent.parent / TMP, path.parent.name, path.name)
    _, job, name = split_address(address)
    try:
        with ask_now(lambda: locator.server(address), f"/{job}/{name}{SUFFIX}") as response:
            told = response.headers.get(ENTRIES, "")
            return SoFar(response.read(TAIL_BYTES), int(told) if _NUMBER.fullmatch(told) else None)
    except FileNotFoundError:  # a node of an older version
        return SoFar()
    except NETWORK_ERRORS as error:
        raise DataError(f"its log cannot be read: {reason(error)}", url=address) from error


def read_beside(locator: Locator, address: str, suffix: str) -> bytes | None:
    """The file with the suffix beside an attempt's output; None if there is none. Raises ``DataError``, also
    if it is larger than what we write there.
    """
    path = locator.path(address)
    try:
        if path is not None:
            with open(path.with_name(path.name + suffix), "rb") as file:
                found = file.read(BESIDE_MAX_BYTES + 1)
        else:
            _, job, name = split_address(address)
            with ask_now(lambda: locator.server(address), f"/{job}/{name}{suffix}") as response:
                found = response.read(BESIDE_MAX_BYTES + 1)
        if len(found) > BESIDE_MAX_BYTES:
            raise DataError(f"its {suffix} file is larger than {BESIDE_MAX_BYTES >> 20} MiB", url=address)
        return found
    except FileNotFoundError:
        return None
    except NETWORK_ERRORS as error:
        raise DataError(f"its {suffix} file cannot be read: {reason(error)}", url=address) from error
