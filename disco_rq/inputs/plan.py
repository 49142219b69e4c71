"""What each map task of a job reads: the job's addresses, expanded, cut into pieces and grouped.

Local addresses become absolute and keep the form they were given in: a plain path stays a plain path,
``file://`` stays ``file://``. A directory stands for the files directly in it, a glob for the files that
match (``**`` is any depth), sorted; both leave out hidden files and the markers of other systems. A path
that exists as it is written is no glob.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from disco_rq.errors import JobArgumentError
from disco_rq.inputs.addresses import local_path, scheme_of
from disco_rq.inputs.content import codec_by_name, codec_of
from disco_rq.inputs.expand import Found, MissingFile, expand, look_up_web
from disco_rq.inputs.given import Entry, without_maps
from disco_rq.inputs.heldrecords import HeldRecords
from disco_rq.inputs.opening import first_bytes, open_input
from disco_rq.inputs.pieces import cut, pieces_between
from disco_rq.inputs.rediskeys import KeysAt, is_key, key_tasks
from disco_rq.model import Input, MapInput
from disco_rq.readers import FindsBorders, refuse_other_than_text
from disco_rq.redact import redact

__all__ = ["Planned", "is_plain", "plan_inputs", "size_of"]


class Planned(list[MapInput]):
    """What the maps read, and the names that were left out of directories and patterns."""

    def __init__(self) -> None:
        super().__init__()
        self.left_out: list[str] = []

    def note(self) -> str:
        """A line for the job's history; empty if nothing was left out."""
        if not self.left_out:
            return ""
        count, first = len(self.left_out), redact(self.left_out[0])
        return (
            f"Left out of the input: {count} hidden files and markers, or links to nothing, such as {first}"
        )


def plan_inputs(
    inputs: Iterable[Any],
    *,
    line_based: bool,
    split_size: int | None = 64 << 20,
    files_per_task: int = 1,
    borders: FindsBorders | None = None,
    keys_at: KeysAt | None = None,
) -> Planned:
    """One ``MapInput`` a map task, in the order of ``inputs``.

    ``inputs``: as ``without_maps`` takes it. An entry that is a list names redundant replicas of one
    file: the first one that can be read is. Files over ``split_size`` bytes are cut into even pieces when
    they are ``line_based``, not compressed, and can seek; replicas only if all of them can and are of one
    size. Others are cut where ``borders`` says, if they have no replicas. ``files_per_task`` groups the
    whole files of one directory or glob that follow each other. ``keys_at`` is asked for lists and streams
    of Redis, cut by number. Raises ``JobArgumentError``, naming the argument and the address, for what is
    missing as far as the client can see (for replicas: when all are), for empty
    directories and globs, and for wrong types.
    """
    _check_number("split_size", split_size, optional=True)
    _check_number("files_per_task", files_per_task)
    given = without_maps(inputs)
    entries = [_addresses(entry) for entry in given]
    web = look_up_web(address for addresses in entries for address in addresses)
    cutter = _Cutter(split_size, line_based, borders)
    planned = Planned()
    for entry, addresses in zip(given, entries, strict=True):
        if isinstance(entry, HeldRecords):
            planned += entry.tasks()
        elif isinstance(entry, str) and is_key(entry):
            planned += key_tasks(entry, keys_at, split_size)
        elif isinstance(entry, str):
            found, is_many = expand(addresses[0], web, planned.left_out)
            planned += _tasks([(file,) for file in found], cutter, files_per_task if is_many else 1)
        else:
            planned += _tasks([_replicas(addresses, web)], cutter, 1)
    return planned


def _addresses(entry: Entry) -> list[str]:
    if isinstance(entry, HeldRecords):
        return []
    return [entry] if isinstance(entry, str) else entry


def _check_number(name: str, value: Any, *, optional: bool = False) -> None:
    if optional and value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise JobArgumentError(f"{name} takes a whole number{' or None' if optional else ''}, not {value!r}")
    if value < 1:
        raise JobArgumentError(f"{name} must be at least 1, not {value}")


def _replicas(addresses: Iterable[str], web: dict[str, Found]) -> tuple[Found, ...]:
    """The replicas, as long as one of them may exist; the missing ones stay, a node may see more than the
    client."""
    found, problems = [], []
    for address in addresses:
        if is_key(address):
            raise JobArgumentError(f"input {redact(address)}: a list or stream of Redis has no replicas")
        try:
            files, is_many = expand(address, web, [])
        except MissingFile as error:
            problems.append(error)
            found.append(error.file)
            continue
        if is_many:
            raise JobArgumentError(
                f"input {redact(address)}: a replica names one file, not a directory or glob"
            )
        found += files
    if len(problems) == len(found):
        raise problems[0]
    return tuple(found)


def _tasks(files: Iterable[tuple[Found, ...]], cutter: _Cutter, files_per_task: int) -> Iterable[MapInput]:
    group: list[tuple[Input, ...]] = []
    for replicas in files:
        pieces = cutter.pieces(replicas)
        if len(pieces) > 1:
            if group:  # maps are in the order of the input, and so are the values of a key
                yield MapInput(tuple(group))
                group = []
            yield from (MapInput((cutter.inputs(replicas, *piece),)) for piece in pieces)
            continue
        group.append(cutter.inputs(replicas))
        if len(group) == files_per_task:
            yield MapInput(tuple(group))
            group = []
    if group:
        yield MapInput(tuple(group))


@dataclass(frozen=True, slots=True)
class _Cutter:
    """Cuts large files into pieces."""

    piece_size: int | None
    line_based: bool
    borders: FindsBorders | None

    def inputs(
        self, replicas: tuple[Found, ...], start: int = 0, length: int | None = None
    ) -> tuple[Input, ...]:
        is_whole = self.borders is not None and self.borders.is_whole
        return tuple(Input(r.url, start, length, r.identity, is_whole) for r in replicas)

    def pieces(self, replicas: tuple[Found, ...]) -> list[tuple[int, int | None]]:
        size = replicas[0].size
        if not self.piece_size or not size or size <= self.piece_size:
            return [(0, None)]
        same = all(r.can_seek and r.size == size and codec_by_name(r.url) is None for r in replicas)
        if not same:
            return [(0, None)]
        if self.line_based:
            return cut(size, self.piece_size) if all(is_plain(r.url) for r in replicas) else [(0, None)]
        return self._found_pieces(replicas[0], size, self.piece_size) if len(replicas) == 1 else [(0, None)]

    def _found_pieces(self, file: Found, size: int, piece_size: int) -> list[tuple[int, int | None]]:
        if self.borders is None or (self.borders.reads_through and local_path(file.url) is None):
            return [(0, None)]
        try:
            with open_input(Input(file.url, identity=file.identity, is_whole=True)) as (fd, found):
                starts = self.borders.borders(fd, size, piece_size) if found == size else []
        except Exception:  # noqa: BLE001  the task that reads it whole tells it better
            starts = []
        return pieces_between([0, *starts])


def size_of(entry: Input) -> int | None:
    """Bytes that are to be read of it, before they are unpacked; None if that is not known."""
    if is_key(entry.url):  # it counts elements
        return None
    if entry.length is not None:
        return entry.length
    if scheme_of(entry.url) == "raw":
        return len(entry.url)
    size = entry.identity.size if entry.identity else None
    return None if size is None else size - entry.start


def is_plain(url: str) -> bool:
    """Whether the file can be cut where a line ends: by what it begins with."""
    try:
        head = first_bytes(url)
        refuse_other_than_text(head, url)
        return codec_of(head, None) is None
    except Exception:  # noqa: BLE001  the task that reads it whole tells it better
        return False
