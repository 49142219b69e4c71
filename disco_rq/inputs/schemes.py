"""Which schemes of fsspec are read and written: those that bring bytes from a store, and do no more.

fsspec knows schemes that run what a file says (``reference://`` did), call programs (``git://``, ``dvc://``)
or keep copies on the disk (``filecache::``), and packages register more of them. Who wants one of these says
so with a setting.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from disco_rq.inputs.addresses import is_chain
from disco_rq.settings import PREFIX, more_schemes

__all__ = ["SCHEMES", "check_schemes", "links"]

SCHEMES = frozenset(
    (
        *("file", "local", "memory", "data", "http", "https", "ftp", "sftp", "ssh", "smb", "webdav"),
        *("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oci", "oss", "tos"),
        *("hdfs", "arrow_hdfs", "webhdfs", "dbfs", "lakefs", "root"),
        *("hf", "github", "gist", "box", "dropbox", "gdrive"),
        *("zip", "tar", "libarchive", "simplecache"),
    )
)
_WORD = re.compile(r"[a-zA-Z0-9+.\-_]+")


def check_schemes(url: str, env: Mapping[str, str] | None = None) -> None:
    """Raise ``ValueError`` naming the first link of the address, a chain perhaps, that is not allowed."""
    allowed = SCHEMES | more_schemes(os.environ if env is None else env)
    for scheme in links(url):
        if scheme not in allowed:
            raise ValueError(
                f"{scheme}:// is not among the schemes that are opened here: {PREFIX}SCHEMES={scheme}, "
                "for clients and nodes, allows it"
            )


def links(url: str) -> list[str]:
    """The scheme of each link, as fsspec takes it apart: ``zip://a::s3://b`` has two."""
    parts = url.split("::") if is_chain(url) else [url]
    return [_scheme(part, is_chained=len(parts) > 1) for part in parts]


def _scheme(link: str, *, is_chained: bool) -> str:
    head, found, _ = link.partition("://")
    if found:
        return head
    if link.startswith("data:"):
        return "data"
    return link if is_chained and _WORD.fullmatch(link) else "file"
