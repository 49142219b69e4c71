"""Addresses of inputs: which kind each is.

A plain path and ``file://`` are local: the text after ``file://`` is the path as it is, no percent-encoding,
as in Disco and fsspec.
"""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit

__all__ = ["absolute", "file_name", "local_path", "scheme_of"]

_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.\-]*)(?:://|::)")
_FILE = "file://"


def scheme_of(url: str) -> str:
    """The scheme in lower case, ``file`` for a plain path; of a chain (``zip://a::s3://b``) the first."""
    match = _SCHEME.match(url) if "://" in url else None
    return match[1].lower() if match else "file"


def local_path(url: str) -> str | None:
    """The path of a plain path or a ``file://`` address; None for every other."""
    if scheme_of(url) != "file" or "::" in url[: url.find("://")]:
        return None
    if url[: len(_FILE)].lower() != _FILE:
        return url
    path = url[len(_FILE) :]
    return path.removeprefix("localhost") if path.startswith("localhost/") else path


def absolute(url: str, path: str) -> str:
    """The address of the local ``path``, in the form that ``url`` was given in: plain or ``file://``."""
    full = os.path.abspath(path)  # noqa: PTH100  resolve() would follow links, which may differ between nodes
    return full if url == local_path(url) else _FILE + full


def file_name(url: str) -> str:
    """The last part of the address' path, which says how the file is compressed."""
    scheme = scheme_of(url)
    if scheme == "file":
        return os.path.basename(local_path(url) or url)  # noqa: PTH119  any text is an address
    if scheme in ("http", "https", "disco"):
        return urlsplit(url).path.rpartition("/")[2]
    return url.partition("::")[0].rpartition("/")[2]
