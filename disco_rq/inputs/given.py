"""The ``input`` of a job as people hold it: whatever gives addresses one by one becomes a list."""

from __future__ import annotations

import inspect
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from disco_rq.errors import JobArgumentError
from disco_rq.external import ExternalProgram
from disco_rq.inputs.heldrecords import HeldRecords
from disco_rq.model import shown
from disco_rq.redact import redact

__all__ = ["Entry", "OwnMap", "listed", "without_maps"]

Entry = str | list[str] | HeldRecords
"""An address, the redundant replicas of one file, or what ``records_input`` made."""


@dataclass(frozen=True, slots=True)
class OwnMap:
    """Inputs that a map of their own reads: given as ``(paths, map)`` or ``(paths, map, map_reader)``."""

    entries: list[Entry]
    map: Any
    map_reader: Any = None


_TAKES = "input takes a list of addresses"
_RECORDS = ": records are an input by disco_rq.records_input([…])"
_BYTES = bytes | bytearray | memoryview


def listed(given: Any) -> list[Entry | OwnMap]:
    """The entries, each as text or a list of text, or such with a map. What it gives may be given again.

    Lists, tuples, views of a dict, iterators and generators keep their order, and are read once; a set is
    sorted, so that map 3 of one process is map 3 of every other. Raises ``JobArgumentError`` naming the
    entry; what a generator itself raises passes unchanged.
    """
    found: list[Entry | OwnMap] = []
    for number, entry in enumerate(_entries(given)):
        place = f"input[{number}]"
        found.append(_with_map(entry, place) if _has_map(entry) else _entry(entry, place))
    return found


def _has_map(entry: Any) -> bool:
    """Replicas are told from it by what comes second: an address there, here a function."""
    if isinstance(entry, tuple) and len(entry) > 1:
        return callable(entry[1]) or isinstance(entry[1], ExternalProgram)
    return isinstance(entry, OwnMap)


def _with_map(entry: Any, place: str) -> OwnMap:
    if isinstance(entry, OwnMap):
        return entry
    if len(entry) > 3:
        raise JobArgumentError(f"{place} has {len(entry)} members: it takes (paths, map, map_reader)")
    paths, *functions = entry
    try:
        entries = without_maps([paths] if isinstance(paths, str | os.PathLike | HeldRecords) else paths)
    except JobArgumentError as error:
        raise JobArgumentError(str(error).replace("input", f"{place}[0]", 1)) from None
    return OwnMap(entries, *functions)


def without_maps(given: Any) -> list[Entry]:
    """The same as ``listed``, where no entry may have a map of its own."""
    entries: list[Entry] = []
    for number, entry in enumerate(listed(given)):
        if isinstance(entry, OwnMap):
            raise JobArgumentError(f"input[{number}] has a map, which it cannot have here")
        entries.append(entry)
    return entries


def _entries(given: Any) -> Iterable[Any]:
    if isinstance(given, HeldRecords):
        return [given]
    if isinstance(given, str | os.PathLike):
        raise JobArgumentError(f"{_TAKES}, not {type(given).__name__}: [{_shown(given)}]")
    if hasattr(given, "columns"):  # it would give the names of its columns
        raise JobArgumentError(f"{_TAKES}, not {type(given).__name__}: disco_rq.records_input() of it is one")
    if isinstance(given, io.IOBase):
        raise JobArgumentError(f"{_TAKES}, not an open file: the path of the file in a list")
    if isinstance(given, Mapping):
        raise JobArgumentError(f"{_TAKES}, not {type(given).__name__}: its keys() or values(), as may be")
    if inspect.isgenerator(given) and inspect.getgeneratorstate(given) == inspect.GEN_CLOSED:
        raise JobArgumentError("input is a generator that was read before: a list can be read again")
    if isinstance(given, _BYTES) or not isinstance(given, Iterable):
        raise JobArgumentError(f"{_TAKES}, not {type(given).__name__}")
    return _sorted(given) if isinstance(given, set | frozenset) else given


def _sorted(given: Iterable[Any]) -> list[str]:
    addresses = []
    for entry in given:
        if not isinstance(entry, str | os.PathLike):
            raise JobArgumentError(
                f"input is a set with {_shown(entry)} in it: a set takes addresses only, a list replicas, too"
            )
        addresses.append(_address(entry, f"input, a set with {_shown(entry)}"))
    return sorted(dict.fromkeys(addresses))  # "a" and Path("a") are two to a set


def _entry(entry: Any, place: str) -> Entry:
    if isinstance(entry, HeldRecords):
        return entry
    if isinstance(entry, str | os.PathLike):
        return _address(entry, place)
    if isinstance(entry, Sequence) and not isinstance(entry, _BYTES):
        if not entry:
            raise JobArgumentError(f"{place} is an empty list of replicas")
        return [_address(replica, f"{place}[{number}]") for number, replica in enumerate(entry)]
    raise JobArgumentError(
        f"{place} = {_shown(entry)}: input takes addresses and lists of replicas, not {type(entry).__name__}"
        f"{_RECORDS if isinstance(entry, Mapping) else ''}"
    )


def _address(value: Any, place: str) -> str:
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(text, str):
        raise JobArgumentError(
            f"{place} = {_shown(value)}: input takes addresses as text, not {type(text).__name__}"
        )
    if not text.strip():
        raise JobArgumentError(f"{place} is an empty address")
    if "\0" in text:
        raise JobArgumentError(f"{place} = {redact(text)!r}: an address holds no NUL character")
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        told = f"{place} = {redact(text)!r}: it holds half of a character"
        raise JobArgumentError(f"{told}, which no file name and no address has") from None
    return text


def _shown(value: Any) -> str:
    """In an error, without passwords."""
    return redact(shown(value))
