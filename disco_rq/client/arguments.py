"""The arguments of ``new_job``: their types, for editors and type checkers; how ``jobspec`` tells them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from reprlib import Repr
from typing import Any, BinaryIO, Literal, TypeAlias, TypedDict

from disco_rq.external import ExternalProgram
from disco_rq.func import Output
from disco_rq.inputs.given import OwnMap
from disco_rq.inputs.heldrecords import HeldRecords
from disco_rq.model import readable
from disco_rq.params import Params
from disco_rq.redact import redact

__all__ = ["Address", "Inputs", "JobArguments", "JobChanges", "Scheduler", "as_plain_data"]

Address: TypeAlias = str | os.PathLike[str]
Pairs: TypeAlias = Iterable[tuple[Any, Any]]
Reader: TypeAlias = Callable[[BinaryIO, int | None, str], Iterable[Any]]
PairReader: TypeAlias = Callable[[BinaryIO, int | None, str], Pairs]
Writer: TypeAlias = Callable[[BinaryIO, Any, Any, Any], object]
Init: TypeAlias = Callable[[Iterator[Any], Any], object]

Entries: TypeAlias = HeldRecords | Iterable[Address | Sequence[Address] | HeldRecords]
Map: TypeAlias = Callable[[Any, Any], Pairs | None]
OwnMapped: TypeAlias = tuple[Address | Entries, Map] | tuple[Address | Entries, Map, Reader | None]
Inputs: TypeAlias = Entries | Iterable[Address | Sequence[Address] | HeldRecords | OwnMapped]

INPUTS_TOLD = 100
"""As many of a job's addresses are kept as they were given; what its tasks read is kept anyway."""
_TOLD_CHARS = 500
_repr = Repr()
_repr.maxdict = _repr.maxlist = _repr.maxtuple = _repr.maxset = 20
_repr.maxstring = _repr.maxother = _repr.maxlong = 100


class Scheduler(TypedDict, total=False):
    """Where and how many tasks of a job run at once."""

    max_cores: int
    force_local: bool
    force_remote: bool
    speculative: bool


class JobArguments(TypedDict, total=False):
    """What ``new_job`` takes besides the job's name and input. The manual's table says what each means."""

    map: Map | ExternalProgram | None
    map_reader: Reader | None
    map_init: Init | None
    map_writer: Writer | None
    reduce: (
        Callable[[Iterator[tuple[Any, Any]], Any], Pairs | None]
        | Callable[[Iterator[tuple[Any, Any]], Output, Any], Pairs | None]
        | ExternalProgram
        | None
    )
    reduce_reader: PairReader | None
    reduce_init: Init | None
    reduce_writer: Writer | None
    partition: Callable[[Any, int, Any], int] | None
    combiner: Callable[[Any, Any, dict[Any, Any], bool, Any], Pairs | None] | None
    params: Any
    ext_params: Mapping[str, str | bytes] | str | bytes | None
    nr_reduces: int | None
    sort: bool
    sort_values: bool
    mem_sort_limit: int
    files_per_task: int
    split_size: int | None
    scheduler: Scheduler
    needs: Mapping[str, Any]
    max_bad: float
    pilot: float
    unique: bool
    on_end: str | tuple[str, str] | None
    reuse: bool
    check: float
    max_failures: int
    task_retries: int
    task_timeout: float | None
    status_interval: int
    profile: bool
    required_modules: Sequence[str | tuple[str, Address]]
    required_files: Sequence[Address] | Mapping[str, bytes]
    msg_overflow: Literal["drop", "fail"]
    oob_value_limit: int
    gc_after: float | None
    priority: int
    owner: str
    save: Address | None
    save_format: str | None
    save_by: Callable[[Any, Any], str] | None


class JobChanges(JobArguments, total=False):
    """What ``retry`` takes: what is to be another than in the job that died."""

    name: str
    input: Inputs


def as_plain_data(argument: str, value: Any) -> Any:
    """An argument as ``jobspec`` tells it, as plain data: functions and files by their names, params by a
    ``repr`` of at most some 500 characters, addresses without passwords.
    """
    if argument == "input":
        return [_input(entry) for entry in value[:INPUTS_TOLD]]
    if argument == "params" or (argument == "ext_params" and value is not None):
        return _brief(value)
    if argument == "required_files":
        names = value if isinstance(value, Mapping) else (Path(path).name for path in value)
        return sorted(map(readable, names))
    if argument == "required_modules":
        return [name if isinstance(name, str) else name[0] for name in value]
    if argument == "on_end" and isinstance(value, tuple):
        return list(value)
    if isinstance(value, str | os.PathLike):
        return _addresses(value)
    if isinstance(value, ExternalProgram):
        return str(value)
    if callable(value):
        return f"{getattr(value, '__module__', '?')}.{getattr(value, '__qualname__', type(value).__name__)}"
    return dict(value) if isinstance(value, Mapping) else value


def _input(entry: Any) -> Any:
    if not isinstance(entry, OwnMap):
        return _addresses(entry)
    told = {"input": [_addresses(one) for one in entry.entries[:INPUTS_TOLD]], "map": entry.map}
    if entry.map_reader is not None:
        told["map_reader"] = entry.map_reader
    return {name: value if name == "input" else as_plain_data(name, value) for name, value in told.items()}


def _addresses(entry: Any) -> Any:
    if isinstance(entry, HeldRecords):
        return str(entry)
    if isinstance(entry, str | os.PathLike):
        return readable(redact(os.fspath(entry)))
    return [_addresses(replica) for replica in entry]


def _brief(value: Any) -> str:
    """Like ``repr``, but not of every element of something large; and never an error of a user's class."""
    if isinstance(value, Params):
        text = f"Params({', '.join(f'{name}={_repr.repr(held)}' for name, held in vars(value).items())})"
    else:
        text = _repr.repr(value)
    return readable(text if len(text) <= _TOLD_CHARS else f"{text[:_TOLD_CHARS]}…")
