"""Addresses of inputs: which kind each is.

A plain path and ``file://`` are local: the text after ``file://`` is the path as it is, no percent-encoding,
as in Disco and fsspec.
"""

from __future__ import annotations

import os
import re
import stat
from urllib.parse import urlsplit

__all__ = ["absolute", "file_name", "is_chain", "local_path", "no_file", "scheme_of"]

_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.\-]*)(?:://|::)")
_FILE = "file://"
_ARCHIVES = ("zip", "tar", "libarchive")


def scheme_of(url: str) -> str:
    """The scheme in lower case, ``file`` for a plain path; of a chain (``zip://a::s3://b``) the first."""
    match = _SCHEME.match(url) if "://" in url else None
    return match[1].lower() if match else "file"


def is_chain(url: str) -> bool:
    """Whether it has links, as ``zip://a.csv::s3://bucket/b.zip``. Else ``::`` is part of a name."""
    first, *others = url.split("::")
    return bool(others) and ("://" not in first or scheme_of(first) in _ARCHIVES or "://" in others[-1])


def local_path(url: str) -> str | None:
    """The path of a plain path or a ``file://`` address; None for every other."""
    if scheme_of(url) != "file":
        return None
    if url[: len(_FILE)].lower() != _FILE:
        return url
    path = url[len(_FILE) :]
    return path.removeprefix("localhost") if path.startswith("localhost/") else path


def absolute(url: str, path: str) -> str:
    """The address of the local ``path``, in the form that ``url`` was given in: plain or ``file://``."""
    before, dots, behind = path.rpartition("/../") if not path.endswith("/..") else (path, "", "")
    if dots or path.endswith("/.."):  # behind a link, as the kernel goes
        path = os.path.join(os.path.realpath(before + dots), behind)  # noqa: PTH118
    full = os.path.abspath(path)  # noqa: PTH100  resolve() would follow links, which may differ between nodes
    return full if url == local_path(url) else _FILE + full


def no_file(info: os.stat_result) -> str | None:
    """What it is that has no content of its own: a pipe, a socket, a device; None for a file or directory."""
    kinds = {stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device"}
    return {**kinds, stat.S_IFBLK: "a device"}.get(stat.S_IFMT(info.st_mode))


def file_name(url: str) -> str:
    """The last part of the address' path, which says how the file is compressed."""
    scheme = scheme_of(url)
    if scheme == "file":
        return os.path.basename(local_path(url) or url)  # noqa: PTH119  any text is an address
    if scheme in ("http", "https", "disco"):
        return urlsplit(url).path.rpartition("/")[2]
    return (url.partition("::")[0] if is_chain(url) else url).rpartition("/")[2]
