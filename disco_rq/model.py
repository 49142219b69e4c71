"""The nouns that client, master and worker share: frozen records, and how they travel."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field, fields, replace
from typing import Any, Literal, NamedTuple, cast

import msgpack
import msgspec

from disco_rq.version import PROTOCOL

JobStatus = Literal["active", "ready", "dead"]
ResultStatus = Literal["active", "ready", "dead", "unknown job"]
Phase = Literal["map", "reduce"]
PHASES: tuple[Phase, ...] = ("map", "reduce")
TaskKind = Literal["map", "reduce", "check"]
"""``check:3`` is map 3 a second time, to see whether it gives the same."""

JOB_PREFIX = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_\-]{0,99}")
"""What ``new_job`` takes: files, addresses and the ids of batches are called after the job."""
JOB_NAME = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_\-]*@\d{8}-\d{6}-[a-z0-9]{4}")
NODE_NAME = re.compile(r"[a-zA-Z0-9_.\-]{1,64}")
TASK = re.compile(r"(map|reduce|check):(0|[1-9][0-9]{0,8})")
WORKER_NAME = re.compile(r"[a-zA-Z0-9_\-][a-zA-Z0-9_.:@\-]{0,127}")
"""Its slot, its attempts and its scratch directory are called after it."""

OOB_KEY = re.compile(r"[a-zA-Z_\-:0-9]{1,256}")
OOB_QUOTA = 1000
"""OOB results that one task may put."""
OOB_BYTES = 16 << 20
"""Bytes that the results of one task may take, or one of the job's ``oob_value_limit`` if that is more.
Redis serves nobody else while it commits them, some 50 ms for so many.
"""
COUNTER_QUOTA = 1000
"""Counters that one task may count under."""
COUNTER_MAX_CHARS = 256
MSG_QUOTA = 10
"""Messages that one job may send in a second."""
MSG_MAX_CHARS = 255

DURATION_CLASSES_MS = tuple(10**power for power in range(1, 8))
"""Upper ends of the classes in which the durations of tasks are counted; longer ones are in class ``inf``."""

LEASE_S = 8.0
"""An attempt, or a worker's slot, that was not renewed for so long is lost; that is noticed within 10 s."""
RENEW_S = 2.0


_SHOWN_CHARS = 120


def readable(text: str) -> str:
    """The text without lone surrogates (of lines read with surrogateescape), which Redis and JSON refuse."""
    return text.encode("utf-8", "backslashreplace").decode()


def shown(value: Any) -> str:
    """A value for the text of an error: as Python writes it, cut, or its type where Python cannot."""
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001  a __repr__ of the user's, or an int of very many digits
        return f"<{type(value).__qualname__} that cannot be shown: {type(error).__name__}>"
    return text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "…"


# A master holds 50,000 of a big job, looks them up and sorts them: such a record does it five times as fast
# as a dataclass, and the collector need not look through it.
class TaskId(msgspec.Struct, frozen=True, order=True, gc=False):
    """One map or reduce of a job, or a map's check. It is the text ``map:3`` in Redis and for people, and
    nowhere else.
    """

    phase: TaskKind
    index: int

    def __str__(self) -> str:
        return f"{self.phase}:{self.index}"

    @classmethod
    def parse(cls, text: str) -> TaskId:
        """The task that ``str()`` wrote. Raises ``ValueError`` for anything else."""
        found = TASK.fullmatch(text)
        if found is None:
            raise ValueError(f"not a task: {text!r:.200}")
        return cls(cast("TaskKind", found[1]), int(found[2]))


KEEPS_PARTITIONS = "keeps_partitions"
"""In the details of a spec."""


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A job as submitted, without its functions (those travel as a signed pack)."""

    name: str
    nr_maps: int
    nr_reduces: int
    has_map: bool
    has_reduce: bool
    sort: bool = False
    sort_values: bool = False  # those of a key, too; with sort only
    mem_sort_limit: int = 256 << 20  # bytes a task may hold before it spills
    max_failures: int = 3  # failed attempts that a task survives
    task_retries: int = 0  # re-runs for errors that are not a DataError
    task_timeout: float | None = None  # seconds
    status_interval: int = 100_000  # entries between two progress events, 0 = off
    profile: bool = False
    msg_overflow: Literal["drop", "fail"] = "drop"
    oob_value_limit: int = 1 << 20  # bytes
    priority: int = 0
    owner: str = ""
    save: str | None = None  # address of the directory where results are saved
    save_format: str | None = None  # as what: a name of saving.FORMATS
    has_save_by: bool = False  # a function says into which directory each pair goes
    max_bad: float = 0  # so many entries of its maps may be bad; below 1 a fraction of those that are read
    unique: bool = False  # there is no other active job like it
    on_end: Any = None  # whom its end is told: an address, or a function and its queue
    pilot: float = 0  # so many maps run first, and then it pauses; below 1 a part of them
    reuse: bool = False  # maps of earlier jobs that do the same are not run again
    check: float = 0  # such a part of its maps runs a second time, to see whether it gives the same
    gc_after: float | None = None  # seconds from its end to its purge; None: as the cluster does
    max_cores: int | None = None
    force_local: bool = False
    force_remote: bool = False
    speculative: bool = True  # tasks that lag may have copies
    nr_inputs: int = 0  # of a job without a map: what every reduce reads
    protocol: int = PROTOCOL  # of the client that made it
    # on_nodes (whether any input is on a node), is_small, arguments (as jobspec() tells them), pilot
    # (planning.pilot.PilotPlan), unique (the digest), check (the maps that are checked: a bit for each)
    details: Mapping[str, Any] = field(default_factory=dict)
    needs: Mapping[str, Mapping[str, Any]] = field(
        default_factory=dict
    )  # phase -> the labels that a node must have

    def gives_result(self, task: TaskId) -> bool:
        """Whether the task's output is a result; a map's that reduces read can be made again."""
        return task.phase == ("reduce" if self.has_reduce else "map")

    def saves(self, task: TaskId) -> bool:
        """Whether the task's output is a result that is saved."""
        return self.save is not None and self.gives_result(task)

    @property
    def checked(self) -> frozenset[int]:
        """The maps that are checked."""
        bits: bytes = (self.details.get("check") or b"") if self.check else b""
        among = range(min(self.nr_maps, 8 * len(bits)))
        return frozenset(index for index in among if bits[index >> 3] >> (index & 7) & 1)

    @property
    def has_digests(self) -> bool:
        """Whether its maps tell digests of what they write: someone may want to know whether it is the
        same.
        """
        return self.nr_partitions > 1 or self.check > 0

    @property
    def is_small(self) -> bool:
        """Whether so little is to be read, as was seen at submit, that one process may well do all of it."""
        return bool(self.details.get("is_small"))

    @property
    def keeps_partitions(self) -> bool:
        """Whether another partition function has made some of the maps' outputs that it has kept."""
        return bool(self.details.get(KEEPS_PARTITIONS))

    @property
    def nr_partitions(self) -> int:
        """Partitions of a map output: one for each reduce, 0 = not partitioned."""
        return self.nr_reduces

    def to_dict(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def pack(self) -> bytes:
        """As Redis keeps it, and as it is signed: the same bytes for the same spec."""
        return bytes(msgpack.packb(self.to_dict()))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> JobSpec:
        """The spec that ``to_dict`` wrote. Fields of a newer version are left out."""
        known = {f.name for f in fields(cls)}
        told = {"protocol": 1, **data}  # the first clients do not tell it
        return cls(**{name: value for name, value in told.items() if name in known})


@dataclass(frozen=True, slots=True)
class Identity:
    """Which file it was when the job was submitted. Inode and mtime count on the machine that took them."""

    size: int | None
    inode: int = 0
    mtime_ns: int = 0
    tail: int = 0  # digest of its last bytes
    machine: str = ""
    tag: str = ""  # of a server: NAME=ETAG, a version or a time


@dataclass(frozen=True, slots=True)
class Input:
    """One file, or one piece of it, that a map reads. ``length`` None: to the end.

    ``is_whole``: the reader gets the file whole, and takes from it what lies in the piece; else the piece
    is cut where lines end.
    """

    url: str
    start: int = 0
    length: int | None = None
    identity: Identity | None = field(default=None, compare=False)
    is_whole: bool = False
    data: bytes | None = field(default=None, repr=False)  # the records themselves, which travel with the job

    def __str__(self) -> str:
        return self.url

    def pack(self) -> list[Any]:
        then = self.identity
        known = None if then is None else list(astuple(then))
        if self.data is not None:
            return [self.url, self.start, self.length, known, self.is_whole, self.data]
        more = [known, True] if self.is_whole else [] if known is None else [known]
        return [self.url, self.start, self.length, *more]

    @classmethod
    def unpack(cls, data: list[Any]) -> Input:
        url, start, length, *more = data
        known = more[0] if more else None
        held: bytes | None = more[2] if len(more) > 2 else None
        is_whole = len(more) > 1 and bool(more[1])
        return cls(url, start, length, Identity(*known) if known else None, is_whole, held)


@dataclass(frozen=True, slots=True)
class MapInput:
    """What one map task reads: parts, one after the other; each part a tuple of redundant replicas."""

    parts: tuple[tuple[Input, ...], ...]
    signature: bytes = field(default=b"", compare=False, repr=False)  # of the client, as it was read
    side: int | None = None  # whose map it is: ``Functions.sides[side]``; None: the job's only one

    def pack(self) -> list[Any]:
        parts = [[replica.pack() for replica in part] for part in self.parts]
        return parts if self.side is None else [*parts, self.side]

    @classmethod
    def unpack(cls, data: list[Any], signature: bytes = b"") -> MapInput:
        side = data[-1] if data and isinstance(data[-1], int) else None
        parts = data if side is None else data[:-1]
        return cls(tuple(tuple(map(Input.unpack, part)) for part in parts), signature, side)

    def urls(self) -> list[str]:
        """The addresses, replicas after one another."""
        return [replica.url for part in self.parts for replica in part]

    @property
    def is_redundant(self) -> bool:
        return any(len(part) > 1 for part in self.parts)

    def first_urls(self) -> list[str]:
        """The addresses of the first replicas."""
        return [part[0].url for part in self.parts]


class BadEntry(NamedTuple):
    """An entry that a map or its reader has left out."""

    task: str
    url: str  # the address that it is from, without passwords
    offset: int  # the byte of the unpacked file at which it begins; where that is not known, its piece
    number: int  # counted from 1 in its piece
    entry: Any  # of text and bytes the first 64 KiB; what no record holds, or is larger, as text
    error: str  # type and text of the exception, or what ``skip_entry`` was told
    traceback: str  # the frames of the job's own code; empty of what was skipped


@dataclass(frozen=True, slots=True)
class StageResult:
    """What a task did, told with its commit."""

    entries_in: int
    records_out: int
    bytes_out: int
    counters: Mapping[str, int] = field(default_factory=dict)
    content: bytes | None = None  # the output, if it is small and not in the file
    partition_bytes: Mapping[int, int] = field(default_factory=dict)  # of a partitioned map output
    ranges: str = ""  # digest of the ranges of keys that a map went by, if the job has some
    digests: bytes = b""  # of its partitions, one after the other: records.digest
    left_out: str = ""  # of a map that may leave entries out, what it did: attempt.leftout packs it
    repeats: float = 0.0  # pairs for a key, where somebody wants to know
    memory: int = 0  # bytes that its process held at most, where somebody wants to know


class Side(NamedTuple):
    """The map of some of a job's inputs, and the reader that gives it its entries."""

    map: Any
    map_reader: Any = None


@dataclass(frozen=True, slots=True)
class Functions:
    """The job's functions, as the worker calls them; None where the job has none. Signatures: SPEC, section
    3.
    """

    map: Any = None
    map_reader: Any = None
    map_init: Any = None
    map_writer: Any = None
    reduce: Any = None
    reduce_reader: Any = None
    reduce_init: Any = None
    reduce_writer: Any = None
    partition: Any = None
    combiner: Any = None
    save_by: Any = None
    sides: tuple[Side, ...] = ()  # where inputs have maps of their own: all maps that the job has

    def of_side(self, side: int | None) -> Functions:
        """The functions of the map tasks of one side."""
        if side is None:
            return self
        return replace(self, map=self.sides[side].map, map_reader=self.sides[side].map_reader)
