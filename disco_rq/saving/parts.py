"""From a task's record file to its part of the saved results. The package says why in this order."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from disco_rq.model import JobSpec, TaskId
from disco_rq.saving.formats import FORMATS
from disco_rq.saving.named import SUFFIX, named_files, publish_named, upload_named
from disco_rq.saving.places import (
    has_rename,
    place,
    prepare,
    problem,
    put_in_place,
    remove,
    remove_directory,
    sync_place,
)
from disco_rq.saving.split import Split

__all__ = [
    "bring_out",
    "copy_part",
    "discard",
    "files_of",
    "final_address",
    "is_part_of",
    "publish",
    "settle",
    "shown_address",
    "upload",
]

COPY_PATIENCE_S = 10.0
"""For how long a client leaves it to the workers to publish what they have committed, if that is a copy."""

_COPY_BYTES_PER_S = 10 << 20
_PAUSE_S = 0.02
_PAUSE_MAX_S = 0.5
_BY = re.escape(SUFFIX)
_ATTEMPT = re.compile(rf"\.(part-\d{{5,}})\.\d+-[0-9a-f]{{8}}((?:\.\w+){{1,2}}?)({_BY})?")
_LIST = re.compile(rf"\.(part-\d{{5,}})((?:\.\w+){{1,2}}?){_BY}")
"""The final name of the list of files of a task whose pairs were split by name."""


def upload(
    spec: JobSpec,
    task: TaskId,
    attempt: int,
    records: Path,
    scratch: Path,
    *,
    save_by: Callable[[Any, Any], str] | None = None,
    sync: bool = False,
) -> str:
    """Save a task's complete record file under a name of this attempt. Returns its address, for the commit.

    With ``save_by`` that is a directory, see ``named``. Raises ``RecordTypeError`` for what the format does
    not hold, ``DataError`` naming the address when it cannot be written, what ``Split`` does; nothing is left
    then. Converted on disk first, so that what is uploaded is whole.
    ``sync``: on this machine's disk it is there, whatever happens to the power.
    """
    format = FORMATS[spec.save_format or "msgpack"]
    directory = f"{spec.save}/{spec.name}"
    word = f"{attempt}-{secrets.token_hex(4)}"
    address = f"{directory}/.part-{task.index:05d}.{word}{format.extension}"
    if save_by is not None:
        upload_named(address + SUFFIX, Split(records, save_by, scratch), format, scratch, sync=sync)
        return address + SUFFIX
    converted = format.write(records, scratch / f".saved-{word}")
    try:
        prepare(directory)
        fs, path = place(address)
        fs.put_file(str(converted), path)
        if sync:
            sync_place(address)
    except BaseException as error:
        remove(address)
        if isinstance(error, Exception):
            raise problem(address, error) from error
        raise
    return address


def final_address(address: str) -> str:
    """Where the file of an attempt is when it is published, or the list of its files; any other address as it
    is.
    """
    directory, _, name = address.rpartition("/")
    match = _ATTEMPT.fullmatch(name)
    if match is None:
        return address
    return f"{directory}/{'.' if match[3] else ''}{match[1]}{match[2]}{match[3] or ''}"


def shown_address(address: str) -> str:
    """A committed address as people are told it: the final one, or the pattern that its files fit."""
    final = final_address(address)
    directory, _, name = final.rpartition("/")
    match = _LIST.fullmatch(name)
    return f"{directory}/**/{match[1]}{match[2]}" if match else final


def files_of(addresses: Iterable[str]) -> list[str]:
    """The final addresses of all files that committed attempts have saved, in order. Raises ``DataError``."""
    finals = {address: final_address(address) for address in addresses}
    lists = {
        address: (address, final, f"{match[1]}{match[2]}")
        for address, final in finals.items()
        if (match := _LIST.fullmatch(final.rpartition("/")[2])) is not None
    }
    named = dict(zip(lists, named_files(list(lists.values())), strict=True)) if lists else {}
    return [file for address, final in finals.items() for file in named.get(address, [final])]


def is_part_of(spec: JobSpec, task: TaskId, address: str) -> bool:
    """Whether it is where an attempt of the task saves its result; ``spec`` as its client has signed it."""
    directory, _, name = address.rpartition("/")
    match = _ATTEMPT.fullmatch(name)
    return (
        spec.saves(task)
        and match is not None
        and (match[3] is not None) == spec.has_save_by
        and directory == f"{spec.save}/{spec.name}"
        and match[1] == f"part-{task.index:05d}"
        and match[2] == FORMATS[spec.save_format or "msgpack"].extension
    )


def publish(address: str, *, sync: bool = True) -> None:
    """Give what a *committed* attempt saved its final name. Idempotent, and safe beside others who do it.

    A file that its owner has deleted is no error here. Raises ``DataError`` naming the address. ``sync``: as
    for ``upload``, where there are several files.
    """
    final = final_address(address)
    match = _ATTEMPT.fullmatch(address.rpartition("/")[2])
    if match is not None and match[3]:
        publish_named(address, final, match[1], match[2], sync=sync)
    else:
        put_in_place(address, final)


def copy_part(address: str, spec: JobSpec, task: TaskId) -> str:
    """A copy of what a committed attempt of another job has saved, named as what the first attempt of the
    task saves for this one. Returns its address. Raises ``DataError`` naming the address. Not for pairs that
    were split by name.
    """
    directory = f"{spec.save}/{spec.name}"
    extension = FORMATS[spec.save_format or "msgpack"].extension
    copy = f"{directory}/.part-{task.index:05d}.1-{secrets.token_hex(4)}{extension}"
    try:
        prepare(directory)
        fs, target = place(copy)
        for source in (final_address(address), address):  # it may not have its final name yet
            try:
                fs.cp_file(place(source)[1], target)
                return copy
            except FileNotFoundError:
                missing = source
        raise FileNotFoundError(missing)
    except BaseException as error:
        remove(copy)
        if isinstance(error, Exception):
            raise problem(address, error) from error
        raise


def discard(address: str) -> None:
    """Delete what an attempt that does not count has saved."""
    if address.endswith(SUFFIX):
        remove_directory(address)
    else:
        remove(address)


def settle(addresses: Sequence[str]) -> None:
    """Publish what is not yet published of a *ready* job's committed addresses.

    Where that is a copy, the workers have time to end theirs first: a reader may notice that the object was
    replaced, if only by its like. Deletes what attempts that do not count have left beside them. Raises
    ``DataError``.
    """
    if not addresses:
        return
    directory = addresses[0].rpartition("/")[0]
    sizes, published = bring_out(addresses)
    for name in sizes:
        if _ATTEMPT.fullmatch(name) and name not in published:
            discard(f"{directory}/{name}")


def bring_out(addresses: Sequence[str]) -> tuple[dict[str, int], set[str]]:
    """The same for some committed addresses of a job that may go on: nothing is deleted.

    Returns what is there besides, and what was published here.
    """
    directory = addresses[0].rpartition("/")[0]
    finals = {final_address(address).rpartition("/")[2]: address for address in addresses}
    since, before, pause_s = time.monotonic(), len(addresses), _PAUSE_S
    while True:
        sizes = _listing(directory)
        missing = [address for name, address in finals.items() if name not in sizes]
        coming = [sizes[name] for address in missing if (name := address.rpartition("/")[2]) in sizes]
        if len(missing) < before:
            since, before, pause_s = time.monotonic(), len(missing), _PAUSE_S
        patience_s = COPY_PATIENCE_S + sum(coming) / _COPY_BYTES_PER_S
        if not coming or has_rename(directory) or time.monotonic() - since > patience_s:
            break
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, _PAUSE_MAX_S)
    for address in missing:
        publish(address)
    return sizes, {address.rpartition("/")[2] for address in missing}


def _listing(directory: str) -> dict[str, int]:
    """Names and sizes; nothing if its owner has deleted it."""
    try:
        fs, path = place(directory)
        fs.invalidate_cache()
        return {
            PurePosixPath(entry["name"]).name: entry.get("size") or 0 for entry in fs.ls(path, detail=True)
        }
    except FileNotFoundError:
        return {}
    except Exception as error:  # any fsspec file system's
        raise problem(directory, error) from error
