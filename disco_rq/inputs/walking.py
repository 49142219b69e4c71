"""Which files a directory or a pattern stands for on a disk: each one once, and none that others left there.

Left out are hidden names and the markers of Hadoop, Spark and Delta; a pattern whose part begins as they do
asks for them. Links to directories are followed, to each directory once.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from fnmatch import translate

from disco_rq.errors import JobArgumentError

__all__ = ["LEADS_NOWHERE", "braced", "is_left_out", "walk_directory", "walk_pattern"]

_MARKERS = re.compile(
    r"_SUCCESS|_metadata|_common_metadata|_temporary|_committed_.*|_started_.*|_delta_log", re.DOTALL
)
_BRACES = re.compile(r"(?:(?<!\[)\{|\{(?!\]))([^{}]*,[^{}]*)\}")
"""But ``[{]``, which is a brace."""
_MAGIC = frozenset("*?[")
LEADS_NOWHERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
"""What a link says that leads to nothing, to what is no directory, or to itself."""


def is_left_out(name: str, asked: str = "") -> bool:
    """Whether a name is left out. Not if ``asked``, the part of the pattern that it fits, begins so."""
    if asked[:1] in (".", "_") and name.startswith(asked[:1]):
        return False
    return name.startswith(".") or _MARKERS.fullmatch(name) is not None


def braced(pattern: str) -> list[str]:
    """``{a,b}`` as a shell has it: a pattern for each."""
    found = _BRACES.search(pattern)
    if found is None:
        return [pattern]
    before, behind = pattern[: found.start()], pattern[found.end() :]
    return [one for part in found[1].split(",") for one in braced(before + part + behind)]


def walk_directory(path: str, left_out: list[str]) -> list[str]:
    """The files directly in a directory, sorted."""
    return list(_files_in(path, left_out))


def walk_pattern(pattern: str, left_out: list[str]) -> list[str]:
    """The files that match, and those directly in directories that match, sorted."""
    found: dict[str, None] = {}
    for one in braced(pattern):
        root = "/" if one.startswith("/") else ""
        parts = [part for part in one.split("/") if part]
        for match in _matches(root, parts, left_out):
            if not os.path.isdir(match):  # noqa: PTH112
                found[match] = None
            elif parts[-1] != "**":
                found.update(dict.fromkeys(_files_in(match, left_out)))
    return sorted(found)


def _matches(base: str, parts: list[str], left_out: list[str]) -> Iterator[str]:
    if not parts:
        yield base
        return
    part, *rest = parts
    if part == "**":
        for directory in _directories(base, left_out, set()):
            yield from _matches(directory, rest, left_out)
            if not rest:
                yield from _files_in(directory, left_out)
    elif _MAGIC.isdisjoint(part):
        path = os.path.join(base, part)  # noqa: PTH118
        if os.path.lexists(path):
            yield from _matches(path, rest, left_out)
    else:
        fits = re.compile(translate(part)).match
        for name in filter(fits, _names(base)):
            if is_left_out(name, part):
                left_out.append(os.path.join(base, name))  # noqa: PTH118
            else:
                yield from _matches(os.path.join(base, name), rest, left_out)  # noqa: PTH118


def _directories(base: str, left_out: list[str], seen: set[tuple[int, int]]) -> Iterator[str]:
    """The directory and all below it, each once, links behind what they may lead to."""
    links: list[str] = []
    level = [base]
    while level or links:
        if not level:
            level, links = links, []
        directory = level.pop()
        try:
            info = os.stat(directory or ".")  # noqa: PTH116
        except OSError:
            continue
        if (info.st_dev, info.st_ino) in seen or not stat.S_ISDIR(info.st_mode):
            continue
        seen.add((info.st_dev, info.st_ino))
        yield directory
        for name in _names(directory):
            path = os.path.join(directory, name)  # noqa: PTH118
            if not os.path.isdir(path):  # noqa: PTH112
                continue
            if is_left_out(name):
                left_out.append(path)
            else:
                (links if os.path.islink(path) else level).append(path)  # noqa: PTH114


def _files_in(directory: str, left_out: list[str]) -> Iterator[str]:
    for name in _names(directory):
        path = os.path.join(directory, name)  # noqa: PTH118
        if is_left_out(name):
            left_out.append(path)
        elif not os.path.isdir(path):  # noqa: PTH112
            yield path


def _names(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory or "."))  # noqa: PTH208
    except OSError as error:
        if error.errno in LEADS_NOWHERE:
            return []
        # What lies there would be missing.
        raise JobArgumentError(f"input {os.path.abspath(directory)}: {error.strerror}") from None  # noqa: PTH100
