"""The ``save`` and ``save_format`` of a job, checked where it is submitted."""

from __future__ import annotations

import os
import secrets
from difflib import get_close_matches
from typing import Any

from disco_rq.errors import JobArgumentError
from disco_rq.inputs.addresses import absolute, local_path, scheme_of
from disco_rq.redact import redact
from disco_rq.saving.formats import COMPRESSIBLE, FORMATS
from disco_rq.saving.parquet import NEEDS, has_parquet
from disco_rq.saving.places import place, prepare, reason

__all__ = ["check_target"]

_NOT_WRITTEN = frozenset(
    ("raw", "disco", "dir", "http", "https", "data", "memory", "zip", "tar", "libarchive")
)
"""Schemes of inputs only; what is in memory does not outlive a worker, and an archive has one writer."""


def check_target(save: Any, format: Any, writer: str | None) -> tuple[str, str]:
    """Where results are saved, and as what: the directory's address, absolute, and the format's name.

    ``writer`` names the argument that is a writer of the job's own for its results, if it has one. A small
    file is written there and deleted. Raises ``JobArgumentError``, naming the argument, for what is no
    address, needs a library, or cannot be written to from here.
    """
    address = os.fspath(save) if isinstance(save, os.PathLike) else save
    takes = "it takes a directory where results are saved: a path, file://, s3:// or what else fsspec writes"
    if not isinstance(address, str) or not address.strip() or "\0" in address:
        raise JobArgumentError(f"save={save!r}: {takes}")
    if "::" in address or scheme_of(address) in _NOT_WRITTEN:
        raise JobArgumentError(f"save={redact(address)!r}: results cannot be saved there; {takes}")
    if (path := local_path(address)) is not None:
        address = absolute(address, path)
    address = address.rstrip("/") or "/"
    format = _checked_format(format, writer)
    try:
        _try_out(address)
    except Exception as error:  # noqa: BLE001  any fsspec file system's
        raise JobArgumentError(
            f"save={redact(address)!r}: cannot be written to: {reason(error).removeprefix('reading ')}"
        ) from None
    return address, format


def _checked_format(format: Any, writer: str | None) -> str:
    if format is None:
        return "msgpack" if writer is None else "raw"
    if not isinstance(format, str) or format not in FORMATS:
        meant = get_close_matches(str(format), FORMATS, 1)
        hint = f" ({meant[0]}?)" if meant else ""
        plain = ", ".join(name for name in FORMATS if "." not in name)
        raise JobArgumentError(
            f"save_format={format!r}{hint}: it takes one of {plain}; "
            f"{', '.join(COMPRESSIBLE)} also with .gz or .zst behind"
        )
    is_raw = format.partition(".")[0] == "raw"
    if writer is not None and not is_raw:
        raise JobArgumentError(f"save_format={format!r}: the job's {writer} decides what is saved (raw)")
    if writer is None and is_raw:
        raise JobArgumentError(f"save_format={format!r}: that is for results with a writer of the job's own")
    if format == "parquet" and not has_parquet():
        raise JobArgumentError(f"save_format='parquet': needs pyarrow: {NEEDS}")
    return format


def _try_out(address: str) -> None:
    prepare(address)
    fs, path = place(f"{address}/.disco-rq-{secrets.token_hex(4)}")
    fs.pipe_file(path, b"may this be written?\n")
    fs.rm_file(path)
