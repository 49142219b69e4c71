"""Whether a task that was replayed has made what counts of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from disco_rq.client.session import Session
from disco_rq.errors import DataError, TaskError
from disco_rq.model import JobSpec, TaskId
from disco_rq.outputs.remote import open_remote
from disco_rq.records import all_blocks, batches, changed_partitions, first_difference
from disco_rq.records.blocks import Block, Kind
from disco_rq.records.digest import pair_digests
from disco_rq.records.pairs import shown
from disco_rq.saving import check_outputs, files_of, is_saved, publish, read_saved
from disco_rq.store.committed import Committed

__all__ = ["Made", "differences"]

_AT_A_TIME = 1000


@dataclass(frozen=True, slots=True)
class Made:
    """What a replay has made."""

    records: Path  # its output
    saved: str  # where it has saved it; empty: it does not
    digests: bytes  # as a commit tells them; empty: it tells none
    puts: Mapping[str, Any]
    counters: Mapping[str, int]


def differences(session: Session, spec: JobSpec, task: TaskId, made: Made, counts: Committed) -> list[str]:
    """In words, each; none: all is the same, pairs in whatever order. ``DataError`` where what counts cannot
    be read any more.
    """
    check_outputs(spec.name, {task: counts.address}, lambda: spec)
    found = [
        *_of_fields("OOB result", made.puts, counts.puts),
        *_of_fields("counter", made.counters, counts.counters),
    ]
    blocks = partial(_blocks, session, counts.address)
    if made.digests and counts.digests:
        changed = changed_partitions(counts.digests, made.digests)
        found += [_of_partition(number, blocks, made.records) for number in changed[:1]]
    elif is_saved(counts.address):
        found += _of_saved(spec, made.saved, counts.address)
    else:
        own = partial(all_blocks, made.records, made.records.name)
        before, now = _by_partition(blocks()), _by_partition(own())
        changed = sorted(
            number for number in before.keys() | now.keys() if before.get(number) != now.get(number)
        )
        found += [_of_partition(number, blocks, made.records) for number in changed[:1]]
    return found


def _of_fields(what: str, now: Mapping[str, Any], before: Mapping[str, Any]) -> Iterator[str]:
    for key in sorted(now.keys() | before.keys()):
        if key not in before:
            yield f"{what} {key} is new: {shown(now[key])}"
        elif key not in now:
            yield f"{what} {key} is missing; it was {shown(before[key])}"
        elif now[key] != before[key]:
            yield f"{what} {key} is {shown(now[key])}; it was {shown(before[key])}"


def _blocks(session: Session, address: str) -> Iterator[Block]:
    """Of an output, wherever it lies."""
    path = session.locator.path(address)
    if path is not None and not path.exists():
        raise DataError("the output is gone", url=address)
    with nullcontext(path) if path is not None else open_remote(session.locator, address) as file:
        yield from all_blocks(file, address)


def _by_partition(blocks: Iterable[Block]) -> dict[int, tuple[int, str]]:
    """Of each partition that holds something: the sum of its pairs' digests, and the digest of its bytes
    where a writer of the job's own wrote it.
    """
    sums: dict[int, int] = {}
    texts: dict[int, Any] = {}
    for block in blocks:
        number = block.partition
        if block.kind == Kind.OPAQUE:
            texts.setdefault(number, hashlib.sha256()).update(block.data)
        else:
            for batch in batches([block], "an output"):
                sums[number] = sums.get(number, 0) + _sum(batch.pairs())
    return {
        number: (sums.get(number, 0), texts[number].hexdigest() if number in texts else "")
        for number in sums.keys() | texts.keys()
    }


def _sum(pairs: Iterator[tuple[Any, Any]]) -> int:
    total = 0
    while some := list(islice(pairs, _AT_A_TIME)):
        total += sum(pair_digests([key for key, _ in some], [value for _, value in some]))
    return total


def _of_partition(number: int, before: Callable[[], Iterator[Block]], records: Path) -> str:
    def lies_here(blocks: Iterable[Block]) -> Iterator[Block]:
        return (block for block in blocks if block.partition == number)

    try:
        pair = first_difference(
            lambda: lies_here(before()), lambda: lies_here(all_blocks(records, records.name))
        )
    except (DataError, TaskError):
        pair = None
    where = "" if pair is None else f", first at the key {shown(pair.key)}"
    return f"partition {number} is another one{where}"


def _of_saved(spec: JobSpec, mine: str, address: str) -> list[str]:
    """Of results that are saved, by the files that they are."""
    directory = f"{spec.save}/{spec.name}/"
    before = {file.removeprefix(directory): file for file in files_of([address])}
    publish(mine, sync=False)
    finals = files_of([mine])
    now = {file.partition(f"/{spec.name}/")[2]: file for file in finals}
    other = sorted(before.keys() ^ now.keys())
    if other:
        return [f"the file {other[0]} is {'missing' if other[0] in before else 'new'}"]
    return [
        f"the file {name} is another one"
        for name in before
        if _saved_pairs(before[name]) != _saved_pairs(now[name])
    ][:1]


def _saved_pairs(address: str) -> tuple[int, str]:
    try:
        return _sum(iter(read_saved(address))), ""
    except TaskError as error:
        if isinstance(error, DataError):
            raise
    except (TypeError, ValueError):  # what its format holds are no pairs
        pass
    digest = hashlib.sha256()
    for piece in read_saved(address, lambda fd, _size, _name: iter(partial(fd.read, 1 << 20), b"")):
        digest.update(piece)
    return 0, digest.hexdigest()
