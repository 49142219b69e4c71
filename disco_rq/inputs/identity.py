"""Which file it was at submit: a task reads that one, as far as it went then, or says what became of it."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from xxhash import xxh3_64_intdigest

from disco_rq.model import Identity

__all__ = ["check_local", "check_remote", "check_size", "local_identity", "planned_size", "remote_identity"]

_TAIL_BYTES = 4096
_VERSIONS = ("ETag", "etag", "generation", "VersionId", "version_id")
_TAGS = (*_VERSIONS, "mtime", "LastModified", "last_modified", "updated")
"""What file systems call that which changes with a file, the best ones first."""


@cache
def _machine() -> str:
    """Inodes and times are told apart by it: the same host, boot and root directory."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        boot = ""
    root = os.stat("/")  # noqa: PTH116
    about = f"{socket.gethostname()} {boot} {root.st_dev} {root.st_ino}"
    return f"{xxh3_64_intdigest(about.encode()):x}"


def local_identity(path: str, info: os.stat_result) -> Identity:
    """Of a file on this machine."""
    try:
        with open(path, "rb", buffering=0) as file:
            tail = _tail(file.fileno(), info.st_size)
    except OSError:  # the task that cannot read it says so
        tail = 0
    return Identity(info.st_size, info.st_ino, info.st_mtime_ns, tail, _machine())


def check_local(fd: int, then: Identity) -> None:
    """Raise ``ValueError`` unless the open file is the one of then, and has at most grown."""
    now = os.fstat(fd)
    here = then.machine == _machine()
    if here and now.st_ino != then.inode:
        raise ValueError("it was replaced by another file since the job was submitted")
    check_size(now.st_size, then)
    if now.st_size == then.size:
        has_other_end = bool(then.tail) and _tail(fd, now.st_size) != then.tail
        if here and (now.st_mtime_ns != then.mtime_ns or has_other_end):
            check_size(os.fstat(fd).st_size, then)  # it may have been cut since the first look
            raise ValueError("it was rewritten since the job was submitted")
    elif then.tail and then.size is not None and _tail(fd, then.size) != then.tail:
        check_size(os.fstat(fd).st_size, then)
        raise ValueError("it was rewritten since the job was submitted, and is longer now")


def check_size(size: int | None, then: Identity) -> None:
    """Raise ``ValueError`` if the file is shorter than then."""
    if size is not None and then.size is not None and size < then.size:
        raise ValueError(
            f"it has become shorter since the job was submitted: {size} bytes, and {then.size} were there"
        )


def remote_identity(size: int | None, about: Mapping[str, Any]) -> Identity | None:
    """Of a file of which a server or file system says ``about``."""
    tag = next((f"{name}={about[name]}" for name in _TAGS if about.get(name)), "")
    return Identity(size, tag=tag) if tag or size is not None else None


def check_remote(size: int | None, about: Mapping[str, Any], then: Identity) -> None:
    """Raise ``ValueError`` unless it is the file of then, by its tag and its size."""
    check_size(size, then)
    name, _, _ = then.tag.partition("=")
    grown_only = name not in _VERSIONS and size is not None and then.size is not None and size > then.size
    if _is_same(about, then) is False and not grown_only:
        raise ValueError(f"it was rewritten since the job was submitted: its {name} is another")


def planned_size(size: int | None, about: Mapping[str, Any], then: Identity | None) -> int | None:
    """How much of a file of ``size`` bytes was there then: less, if it has grown since."""
    if then is None or then.size is None or not size:
        return size
    if then.tag.partition("=")[0] in _VERSIONS and _is_same(about, then):
        return size  # this version has one size: the server said another one before
    return min(then.size, size)


def _is_same(about: Mapping[str, Any], then: Identity) -> bool | None:
    """Whether it has the tag of then; None if nobody tells."""
    name, _, tag = then.tag.partition("=")
    if not tag or not about.get(name):
        return None
    return str(about[name]).removeprefix("W/") == tag.removeprefix(
        "W/"
    )  # proxies weaken tags of what they pack


def _tail(fd: int, size: int) -> int:
    """A digest of the bytes before byte ``size``; of an empty file 0."""
    start = max(size - _TAIL_BYTES, 0)
    return xxh3_64_intdigest(os.pread(fd, size - start, start)) if size else 0
