"""Archives by way of fsspec: all of their members, under names that can be asked for, or an error.

Python's tarfile takes a damaged header, a cut between two members and a second archive for the end.
"""

from __future__ import annotations

import posixpath
from collections import Counter
from tarfile import TarInfo
from typing import Any

__all__ = ["check_zip", "member_name", "prepare_tar"]

_BLOCK_BYTES = 512
_CHUNK_BYTES = 256 << 10


def member_name(name: str) -> str:
    """The name of a member below the archive's root: without ``./``, ``..`` and slashes before it."""
    return posixpath.normpath(f"/{name}").lstrip("/")


def check_zip(fs: Any) -> None:
    """Raise ``ValueError`` if two files of a ``ZipFileSystem`` have one name: only one could be read."""
    twice = [name for name, count in Counter(fs.zip.namelist()).items() if count > 1 and name[-1:] != "/"]
    if twice:
        raise ValueError(f"two of its members are {twice[0]}")


def prepare_tar(fs: Any) -> None:
    """Make sure that a ``TarFileSystem`` has seen all of its archive, and put its index right: names as
    ``member_name`` gives them, links to files with ``link_to``, pipes and devices as ``other``.

    Raises ``ValueError`` for what is damaged or cut off.
    """
    members = fs.tar.getmembers()
    _check_end(fs.tar)
    index: dict[str, tuple[dict[str, Any], int, str]] = {}
    for member in members:
        original = member.name.rstrip("/")
        name = member_name(original)
        file = _file_of(fs.tar, member)
        if not name or file is None:
            continue
        if name in index and index[name][2] != original and not member.isdir():
            raise ValueError(f"two of its members are {name}: {index[name][2]} and {original}")
        index[name] = _info(member, name, file), member.offset_data, original
    fs.index, fs.dir_cache = index, None


def _check_end(tar: Any) -> None:
    """Behind the last member there are zeros, one block at least, and nothing else."""
    tar.fileobj.seek(tar.offset)
    at, size = tar.offset, 0
    while data := tar.fileobj.read(_CHUNK_BYTES):
        if data.strip(b"\0"):
            at += size + len(data) - len(data.lstrip(b"\0"))
            raise ValueError(
                f"what follows at byte {at} of the archive is no member: damage, or another archive"
            )
        size += len(data)
    if size < _BLOCK_BYTES:
        raise ValueError(f"the archive is cut off at byte {tar.offset + size}: its end is missing")


def _file_of(tar: Any, member: TarInfo) -> TarInfo | None:
    """What is read: where links lead to; None for links to nothing, or to a directory."""
    found, seen = member, {member.name}
    while found.issym() or found.islnk():
        try:
            found = tar._find_link_target(found)
        except KeyError:
            return None
        if found.name in seen:
            return None
        seen.add(found.name)
    return None if found.isdir() and not member.isdir() else found


def _info(member: TarInfo, name: str, file: TarInfo) -> dict[str, Any]:
    about = {**member.get_info(), "name": name, "type": "file", "size": file.size}
    if member.isdir():
        about["type"] = "directory"
    elif not file.isreg():
        about["type"] = "other"
    elif member.issym():
        about["link_to"] = member_name(file.name)
    return about
