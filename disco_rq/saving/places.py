"""Where results are saved: the file system of an address, and how a file gets there."""

from __future__ import annotations

import contextlib
import os
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from disco_rq.errors import DataError, DiscoError
from disco_rq.inputs.addresses import local_path, scheme_of
from disco_rq.inputs.filesystems import filesystem
from disco_rq.records import sync_directory, sync_file
from disco_rq.redact import redact

__all__ = [
    *("has_rename", "place", "prepare", "problem", "put_in_place", "reason"),
    *("remove", "remove_directory", "sync_place"),
]

# Object stores: no directories to make (s3fs would make the bucket), no rename.
_OBJECTS = frozenset(("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oci", "oss", "tos"))


def place(address: str) -> tuple[Any, str]:
    """The file system of the address, and its path there."""
    if (path := local_path(address)) is not None:
        return LocalFileSystem(), path
    return filesystem(address)


def prepare(address: str) -> None:
    """Make the directory, where there is such a thing. Idempotent."""
    if scheme_of(address) not in _OBJECTS:
        fs, path = place(address)
        fs.makedirs(path, exist_ok=True)


def has_rename(address: str) -> bool:
    """Whether a file there gets another name at once, and not by a copy."""
    return scheme_of(address) not in _OBJECTS


def put_in_place(source: str, final: str) -> None:
    """Give a committed file its final name. Idempotent, and safe beside others who do it.

    A file that its owner has deleted is no error here. Raises ``DataError`` naming the address.
    """
    try:
        _move(source, final)
    except Exception as error:  # any fsspec file system's
        if isinstance(error, FileNotFoundError):
            return  # it was published by somebody else
        with contextlib.suppress(Exception):
            fs, path = place(final)
            fs.invalidate_cache()
            if fs.exists(path):
                return
        raise problem(final, error) from error


def _move(source: str, target: str) -> None:
    """Give a file its final name; what may be there already is replaced."""
    fs, path = place(source)
    final = place(target)[1]
    if isinstance(fs, LocalFileSystem):
        os.replace(path, final)  # noqa: PTH105  any text is an address
    elif not has_rename(source):
        fs.invalidate_cache()
        fs.cp_file(path, final)
        fs.rm_file(path)
    else:
        fs.mv(path, final)


def sync_place(address: str) -> None:
    """A local file with its name, or the names of a local directory, are on the disk when this returns; what
    is elsewhere is its keeper's affair.
    """
    if (path := local_path(address)) is None:
        return
    if os.path.isdir(path):  # noqa: PTH112  any text is an address
        sync_directory(path)
        return
    sync_file(path)
    directory = os.path.dirname(path)  # noqa: PTH120
    sync_directory(directory)
    sync_directory(os.path.dirname(directory))  # noqa: PTH120  the job's own, which may be new


def remove(address: str) -> None:
    """Delete a file, if it is there and can be deleted."""
    with contextlib.suppress(Exception):  # it is hidden: nobody reads it, and settle() tries again
        fs, path = place(address)
        fs.rm_file(path)


def remove_directory(address: str) -> None:
    """Delete a directory with what is in it, if it is there and can be deleted."""
    with contextlib.suppress(Exception):  # as for a file
        fs, path = place(address)
        fs.invalidate_cache()
        fs.rm(path, recursive=True)


def problem(address: str, error: Exception) -> Exception:
    """``error``, any fsspec file system's, as the task or the client shall see it: naming the address."""
    if isinstance(error, DiscoError | MemoryError):
        return error
    shown = redact(address)
    return DataError(f"cannot save to {shown}: {reason(error)}", shown)


def reason(error: BaseException) -> str:
    """What a file system says, in one line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = redact(" ".join(str(error).split()))
    plain = isinstance(error, OSError | ImportError | ValueError) and text
    return text if plain else f"{type(error).__name__}: {text}".rstrip(": ")
