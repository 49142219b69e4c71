"""What an address stands for, as the client sees it: itself, or the files of a directory or glob."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import takewhile
from typing import Any, NamedTuple
from urllib.parse import unquote

from disco_rq.errors import JobArgumentError
from disco_rq.inputs.addresses import absolute, local_path, no_file, scheme_of
from disco_rq.inputs.filesystems import can_cut, child_url, filesystem
from disco_rq.inputs.httpfile import Probe, probe
from disco_rq.inputs.identity import local_identity, remote_identity
from disco_rq.inputs.walking import LEADS_NOWHERE, braced, is_left_out, walk_directory, walk_pattern
from disco_rq.model import Identity
from disco_rq.outputs.addresses import ADDRESS
from disco_rq.redact import redact

__all__ = ["Found", "MissingFile", "expand", "look_up_web"]

_DIR = "dir://"
_OPEN_FILES = ("/dev/fd/", "/proc/self/fd/")
"""Of the process that opens them."""
_GLOB = frozenset("*?[{")
_PROBE_S = 5.0
_PROBES_AT_ONCE = 16
_GONE = (404, 410)


class Found(NamedTuple):
    """A file, with what its server says of it."""

    url: str
    size: int | None = None
    can_seek: bool = False
    missing: bool = False
    identity: Identity | None = None


class MissingFile(JobArgumentError):
    """The client sees that the file does not exist. Fine for a replica whose fellows do."""

    def __init__(self, file: Found) -> None:
        super().__init__(f"input {redact(file.url)}: no such file")
        self.file = file


def expand(url: str, web: dict[str, Found], left_out: list[str]) -> tuple[list[Found], bool]:
    """The files, sorted, and whether the address is a directory or glob. ``web``: what ``look_up_web`` found.
    ``left_out`` gets the names that were left out.

    Raises ``MissingFile``, and ``JobArgumentError`` for what is empty, cannot be listed, or needs a library.
    """
    if (path := local_path(url)) is not None:
        return _expand_local(url, path, left_out)
    match scheme_of(url):
        case "http" | "https":
            return [_there(web[url])], False
        case "raw":
            return [Found(url)], False
        case "disco":
            if not ADDRESS.fullmatch(url):
                raise JobArgumentError(
                    f"input {redact(url)}: not the address of a result, which is like disco://NODE/JOB/reduce-0.1"
                )
            return [Found(url)], False
        case "dir":
            inner = url[len(_DIR) :]
            if ADDRESS.fullmatch(f"disco://{inner}"):  # Disco's way to name a result with partitions
                return [Found(f"disco://{inner}")], False
            files, is_many = expand(inner, web, left_out)
            if not is_many:
                raise JobArgumentError(f"input {redact(url)}: not a directory")
            return files, True
        case _:
            return _expand_remote(url, left_out)


def look_up_web(urls: Iterable[str]) -> dict[str, Found]:
    """Ask the web servers about the http addresses among ``urls``, several at a time.

    A server that does not answer the client may answer the nodes, so its files are taken as they are, and it
    is not asked again.
    """
    silent: set[str] = set()

    def look_up(url: str) -> Found:
        server = url.partition("://")[2].partition("/")[0]
        if server in silent:
            return Found(url)
        try:
            head = probe(url, _PROBE_S)
        except Exception:  # noqa: BLE001  whatever it is, the task that reads it tells it better
            silent.add(server)
            return Found(url)
        if head.status in _GONE:
            return Found(url, missing=True)
        return _found_on_web(url, head) if head.status == 200 else Found(url)

    web = list(dict.fromkeys(url for url in urls if scheme_of(url) in ("http", "https")))
    if not web:
        return {}
    with ThreadPoolExecutor(min(_PROBES_AT_ONCE, len(web)), thread_name_prefix="disco-rq-look-up") as pool:
        return dict(zip(web, pool.map(look_up, web), strict=True))


def _found_on_web(url: str, head: Probe) -> Found:
    return Found(url, head.size, head.ranges, identity=remote_identity(head.size, head.about))


def _there(file: Found) -> Found:
    if file.missing:
        raise MissingFile(file)
    return file


def _expand_local(url: str, path: str, left_out: list[str]) -> tuple[list[Found], bool]:
    if path in ("-", "/dev/stdin") or path.startswith(_OPEN_FILES):
        raise JobArgumentError(f"input {path}: tasks cannot read what is open here: write it to a file first")
    unquoted = unquote(path, errors="surrogateescape")
    if path != url and not os.path.lexists(path) and os.path.lexists(unquoted):
        path = unquoted  # as Path.as_uri() writes it
    address = absolute(url, path)
    try:
        info = os.stat(path)  # noqa: PTH116  any text is an address, not only good paths
    except (FileNotFoundError, NotADirectoryError):
        if path.endswith("/") and os.path.lexists(path.rstrip("/")):
            raise JobArgumentError(f"input {url}: not a directory") from None
        if _GLOB.isdisjoint(path):
            raise MissingFile(Found(address)) from None
        return _many(
            address, _each_once(url, walk_pattern(path, left_out), left_out), is_directory=False
        ), True
    except OSError as error:
        raise JobArgumentError(f"input {address}: {error.strerror}") from None
    if not stat.S_ISDIR(info.st_mode):
        return [_found_local(address, info)], False
    try:
        os.scandir(path).close()
    except OSError as error:
        raise JobArgumentError(f"input {address}: {error.strerror}") from None
    return _many(address, _each_once(url, walk_directory(path, left_out), left_out), is_directory=True), True


def _each_once(url: str, paths: Iterable[str], left_out: list[str]) -> list[Found]:
    """The files, each under one name: what links lead to may have several. Hard links count as files, links
    to nothing are left out.
    """
    found: list[Found] = []
    seen: set[tuple[int, int] | str] = set()
    for path in paths:
        try:
            info = os.stat(path)  # noqa: PTH116
        except OSError as error:
            if error.errno not in LEADS_NOWHERE:
                raise JobArgumentError(f"input {absolute(url, path)}: {error.strerror}") from None
            if os.path.lexists(path):  # else it is gone meanwhile
                left_out.append(path)
            continue
        one = (info.st_dev, info.st_ino) if info.st_nlink == 1 else os.path.realpath(path)
        if stat.S_ISDIR(info.st_mode) or one in seen:
            continue
        seen.add(one)
        found.append(_found_local(absolute(url, path), info))
    return found


def _found_local(address: str, info: os.stat_result) -> Found:
    if (what := no_file(info)) is not None:
        raise JobArgumentError(f"input {address}: it is {what}, and no file to read")
    return Found(address, info.st_size, True, identity=local_identity(local_path(address) or address, info))


def _expand_remote(url: str, left_out: list[str]) -> tuple[list[Found], bool]:
    try:
        fs, path = filesystem(url)
        fs.invalidate_cache()  # listings of a client that lives long
        return _list_remote(url, fs, path, left_out)
    except JobArgumentError:
        raise
    except FileNotFoundError:
        raise MissingFile(Found(url)) from None
    except (ImportError, ValueError) as error:
        raise JobArgumentError(f"input {redact(url)}: {redact(' '.join(str(error).split()))}") from None
    except Exception as error:  # noqa: BLE001  any fsspec file system's
        if _GLOB.isdisjoint(url.partition("::")[0]) and not url.endswith("/"):
            return [Found(url)], False  # a node may have the right to read what the client has not
        text = redact(" ".join(str(error).split()))
        raise JobArgumentError(
            f"input {redact(url)} cannot be listed: {type(error).__name__}: {text}"
        ) from None


def _list_remote(url: str, fs: Any, path: str, left_out: list[str]) -> tuple[list[Found], bool]:
    seekable = can_cut(url)
    try:
        info = fs.info(path)
    except FileNotFoundError:
        if _GLOB.isdisjoint(path):
            raise
        listing, is_directory = _matching(fs, path), False
    else:
        if info["type"] != "directory" and url.partition("::")[0].endswith("/"):
            info = {"type": "directory"}  # a name that is both: what lies below is meant
        if info["type"] != "directory":
            if not info.get("size") and _has_below(fs, path):
                raise JobArgumentError(
                    f"input {redact(url)}: an empty file and a directory: add / to read what lies in it"
                )
            return [_found_remote(url, info, seekable)], False
        listing, is_directory = fs.find(path, maxdepth=1, detail=True), True
    if is_directory:
        listing.pop(path, None)  # the directory's own marker
    files: list[Found] = []
    for name, entry in listing.items():
        if entry["type"] == "directory" or name.endswith("/") or entry.get("link_to") in listing:
            continue  # a link: each file counts once
        child = child_url(url, path, name)
        if _is_left_out_below(path, name):
            left_out.append(child)
        else:
            files.append(_found_remote(child, entry, seekable))
    return _many(url, files, is_directory=is_directory), True


def _matching(fs: Any, pattern: str) -> dict[str, dict[str, Any]]:
    """What matches, by its name, and the files directly in directories that match."""
    listing: dict[str, dict[str, Any]] = {}
    for one in braced(pattern):
        found = fs.glob(one, detail=True)
        listing.update(found)
        for name, about in found.items() if one.rpartition("/")[2] != "**" else ():
            if about["type"] == "directory":
                below = fs.find(name, maxdepth=1, detail=True)
                below.pop(name, None)  # its own marker
                listing.update(below)
    return listing


def _is_left_out_below(path: str, name: str) -> bool:
    """Whether a part of ``name`` is left out that ``path``, a directory or pattern, does not say itself."""
    told, parts = path.rstrip("/").split("/"), name.split("/")
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(told, parts, strict=False)))
    asked = "".join(part[:1] for part in told[same:])
    return any(is_left_out(part) and part[0] not in asked for part in parts[same:])


def _has_below(fs: Any, path: str) -> bool:
    try:
        return any(name.rstrip("/") != path for name in fs.ls(path + "/", detail=False))
    except (OSError, ValueError):
        return False


def _found_remote(url: str, about: dict[str, Any], seekable: bool) -> Found:
    if about["type"] == "other":
        raise JobArgumentError(f"input {redact(url)}: it is a pipe or a device, and no file to read")
    size = about.get("size")
    return Found(url, size, seekable, identity=remote_identity(size, about))


def _many(url: str, files: list[Found], *, is_directory: bool) -> list[Found]:
    if not files:
        why = "no files in it (** would search its sub-directories)" if is_directory else "nothing matches"
        raise JobArgumentError(f"input {redact(url)}: {why}")
    return sorted(files, key=lambda file: file.url)
