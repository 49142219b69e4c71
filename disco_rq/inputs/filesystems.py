"""Whatever fsspec opens: file systems by the scheme of an address, and what to install for the others."""

from __future__ import annotations

import sys
import threading
from pathlib import PurePosixPath
from typing import Any

import fsspec
from fsspec.core import url_to_fs
from fsspec.implementations.tar import TarFileSystem
from fsspec.implementations.zip import ZipFileSystem
from fsspec.registry import known_implementations

from disco_rq.inputs.addresses import is_chain, scheme_of
from disco_rq.inputs.archives import check_zip, member_name, prepare_tar
from disco_rq.inputs.content import HEAD_BYTES, codec_of
from disco_rq.inputs.schemes import check_schemes

__all__ = ["can_cut", "child_url", "filesystem", "io_threads"]

_LIBRARIES = {
    "s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs",
    "abfss": "adlfs", "hdfs": "pyarrow", "arrow_hdfs": "pyarrow", "sftp": "paramiko", "ssh": "paramiko",
    "smb": "smbprotocol", "webhdfs": "requests", "dbfs": "requests", "github": "requests", "gist": "requests",
    "hf": "huggingface_hub", "oci": "ocifs", "oss": "ossfs", "libarchive": "libarchive-c", "git": "pygit2",
    "webdav": "webdav4", "dropbox": "dropboxdrivefs", "box": "boxfs", "lakefs": "lakefs-spec",
    "root": "fsspec-xrootd", "gdrive": "gdrive_fsspec", "tos": "tosfs", "dvc": "dvc", "wandb": "wandbfs",
}  # fmt: skip
_COMPRESSED = frozenset((".gz", ".bz2", ".xz", ".zst", ".lz4"))
"""Suffixes that fsspec knows."""
# Seeking in these reads everything before: pieces would cost a pass each.
_ARCHIVES = frozenset(("zip", "tar", "libarchive"))


def filesystem(url: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """The file system of the address, and its path there.

    Raises ``ImportError`` with the pip command for a missing library, ``ValueError`` for a scheme that is
    unknown, or not allowed.
    """
    scheme = scheme_of(url)
    if scheme not in fsspec.available_protocols():
        raise ValueError(f"no such scheme: {scheme}://")
    check_schemes(url)
    try:
        fs, path = url_to_fs(url, **_options(scheme, url)) if is_chain(url) else _alone(scheme, url)
        if isinstance(fs, TarFileSystem):
            prepare_tar(fs)
            path = member_name(path)
        if isinstance(fs, ZipFileSystem):
            check_zip(fs)
    except ImportError as error:
        # In a chained address another link may be the one that misses something.
        missing = next((s for s in map(scheme_of, url.split("::")) if s in _LIBRARIES), scheme)
        library = _LIBRARIES.get(missing)
        what = f"needs {library}: pip install {library}" if library else _hint(missing, error)
        raise ImportError(f"reading {missing}:// {what}") from None
    return fs, path


def _options(scheme: str, url: str) -> dict[str, Any]:
    """What fsspec does not see by itself: how a tar archive is compressed whose name does not say it."""
    if scheme != "tar":
        return {}
    archive = url.partition("::")[2]
    suffix = PurePosixPath(archive.lower()).suffix
    if suffix in _COMPRESSED:
        return {}
    with fsspec.open(archive, "rb") as file:
        codec = codec_of(file.read(HEAD_BYTES), None)
    return {"tar": {"compression": codec}} if codec else {}


def _alone(scheme: str, url: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """Of an address of one link, in which ``::`` is part of a name."""
    cls = fsspec.get_filesystem_class(scheme)
    return fsspec.filesystem(scheme, **cls._get_kwargs_from_urls(url)), cls._strip_protocol(url)


def can_cut(url: str) -> bool:
    """Whether files of this address can be read from the middle at little cost."""
    return not is_chain(url) and scheme_of(url) not in _ARCHIVES


def child_url(url: str, path: str, child: str) -> str:
    """The address of ``child``, listed in the file system of ``url``, whose own path there is ``path``.

    Everything else in the address (host, credentials, further links of a chain) stays.
    """
    head, chain, rest = url.partition("::") if is_chain(url) else (url, "", "")
    head = head.rstrip("/")
    if path and head.endswith(path.rstrip("/")):
        return head[: len(head) - len(path.rstrip("/"))] + child + chain + rest
    return f"{scheme_of(url)}://{child}{chain}{rest}"


def io_threads() -> set[threading.Thread]:
    """The threads that fsspec keeps for remote file systems: of its loop, and what looks up hosts."""
    asyn = sys.modules.get("fsspec.asyn")
    if asyn is None or asyn.iothread[0] is None:
        return set()
    executor = getattr(asyn.loop[0], "_default_executor", None)
    return {asyn.iothread[0], *getattr(executor, "_threads", ())}


def _hint(scheme: str, error: ImportError) -> str:
    known = known_implementations.get(scheme, {}).get("err")
    return f"needs another library: {known or error}"
