"""The files of a task whose pairs were split by name, from their upload to their final names.

An attempt uploads them into a directory of its own, hidden by a dot: ``.part-00003.2-5e0c91aa.jsonl.by/``,
with the files ``00000.jsonl``, …, and, when all of them are there, ``names``: the list of where each belongs.
That directory is what is committed. Publishing moves each file to ``<name>/part-00003.jsonl``, and then, as
the mark that all are there, the list to ``.part-00003.jsonl.by``. Whoever dies meanwhile leaves the list, and
what is still to be moved, to the next one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from disco_rq.errors import CorruptData
from disco_rq.inputs.addresses import local_path
from disco_rq.records import sync_directory
from disco_rq.redact import redact
from disco_rq.saving.formats import Format
from disco_rq.saving.names import problem_with
from disco_rq.saving.places import (
    has_rename,
    place,
    prepare,
    problem,
    put_in_place,
    remove_directory,
    sync_place,
)
from disco_rq.saving.split import Split

__all__ = ["SUFFIX", "named_files", "publish_named", "upload_named"]

SUFFIX = ".by"
_LIST = "names"
_AT_ONCE = 16


def upload_named(address: str, split: Split, format: Format, scratch: Path, *, sync: bool) -> None:
    """Save all files of an attempt, and then their list. Raises as ``upload`` does; nothing is left then."""
    try:
        prepare(address)
        fs, path = place(address)
        names = split.names
        for number, name in enumerate(names):
            records = split.record_file(name)
            converted = format.write(records, scratch / ".saved-by")
            fs.put_file(str(converted), f"{path}/{_file(number, format.extension)}")
            if sync:
                sync_place(f"{address}/{_file(number, format.extension)}")
            converted.unlink()
            records.unlink(missing_ok=True)
        fs.pipe_file(f"{path}/{_LIST}", json.dumps(names).encode())
        if sync:
            sync_place(f"{address}/{_LIST}")
            if (directory := local_path(address)) is not None:
                sync_directory(Path(directory).parent.parent)  # the job's own, which may be new
    except BaseException as error:
        remove_directory(address)
        if isinstance(error, Exception):
            raise problem(address, error) from error
        raise


def publish_named(address: str, final: str, part: str, extension: str, *, sync: bool) -> None:
    """Give the files of a committed attempt their final names. ``final``: of the list.

    Idempotent, and safe beside others who do it. Raises ``DataError`` naming the address.
    """
    names = _read_list(f"{address}/{_LIST}")
    if names is None:
        return  # it was published by somebody else, or its owner has deleted it
    directory = address.rpartition("/")[0]

    def move(number: int, name: str) -> None:
        target = f"{directory}/{name}"
        try:
            prepare(target)
        except Exception as error:  # any fsspec file system's
            raise problem(target, error) from error
        put_in_place(f"{address}/{_file(number, extension)}", f"{target}/{part}{extension}")
        if sync and (local := local_path(target)) is not None:
            _sync_up(Path(local), nr_parts=name.count("/") + 1)

    if has_rename(address):
        for number, name in enumerate(names):
            move(number, name)
    else:  # each is copied by the server
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="disco-rq-publish") as pool:
            list(pool.map(move, range(len(names)), names))
    put_in_place(f"{address}/{_LIST}", final)
    if has_rename(address):
        remove_directory(address)


def _sync_up(directory: Path, nr_parts: int) -> None:
    """The names in a directory that was just filled, and its own, up to the job's."""
    with suppress(FileNotFoundError):  # its owner has deleted it
        for one in [directory, *directory.parents][: nr_parts + 1]:
            sync_directory(one)


def named_files(lists: Sequence[tuple[str, str, str]]) -> list[list[str]]:
    """Where the files of each committed attempt are, or will be; ``lists``: ``(attempt, list, file)``.

    ``attempt`` is the address that was committed (or again its list's), ``list`` the final one of its list,
    ``file`` what each file is called. For a list that its owner has deleted it is a pattern. Raises
    ``DataError``.
    """
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="disco-rq-lists") as pool:
        return list(pool.map(_files_of, lists))


def _files_of(about: tuple[str, str, str]) -> list[str]:
    attempt, final, file = about
    directory = final.rpartition("/")[0]
    for where in (final, f"{attempt}/{_LIST}", final):  # it may be moved just now
        names = _read_list(where)
        if names is not None:
            return [f"{directory}/{name}/{file}" for name in names]
    return [f"{directory}/**/{file}"]


def _read_list(address: str) -> list[str] | None:
    """The names; None if there is no such list."""
    try:
        fs, path = place(address)
        data: Any = json.loads(fs.cat_file(path))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except ValueError as error:
        raise CorruptData(f"not the list of what a task has saved: {error}", redact(address)) from error
    except Exception as error:  # any fsspec file system's
        raise problem(address, error) from error
    if not isinstance(data, list) or any(map(problem_with, data)):
        raise CorruptData("not the list of what a task has saved", redact(address))
    return data


def _file(number: int, extension: str) -> str:
    return f"{number:05d}{extension}"
