"""Whether two maps read the same: by addresses, pieces, and what is known of the files."""

from __future__ import annotations

from typing import Any

import msgpack

from disco_rq.inputs.addresses import scheme_of
from disco_rq.model import Identity, Input, MapInput
from disco_rq.redact import redact

__all__ = ["CannotTellInput", "input_key", "is_same_file"]

_TOLD_BY_ADDRESS = ("raw", "disco")
"""Schemes of what never changes: the entries themselves, and results of attempts."""


class CannotTellInput(Exception):
    """It is not known whether what is read is what it was; the text says why."""


def input_key(entry: MapInput) -> bytes:
    """The same for maps that read the same, but for ``is_same_file``. Raises ``CannotTellInput``."""
    parts = [[_key(replica) for replica in part] for part in entry.parts]
    return bytes(msgpack.packb(parts, unicode_errors="surrogatepass"))


def _key(entry: Input) -> list[Any]:
    piece = [entry.url, entry.start, entry.length, entry.is_whole]
    if entry.data is not None:
        return [*piece, entry.data]
    if scheme_of(entry.url) in _TOLD_BY_ADDRESS:
        return piece
    then = entry.identity
    if then is None or then.size is None or not (then.mtime_ns or then.tag):
        raise CannotTellInput(f"nothing tells whether {redact(entry.url)} is what it was: no ETag, no date")
    return [
        *piece,
        then.size,
        then.mtime_ns,
        then.tail,
        then.tag.replace("=W/", "=", 1),
    ]  # proxies weaken tags


def is_same_file(one: MapInput, other: MapInput) -> bool:
    """Whether no file was put in the place of another, of those with the same key: inodes count on the
    machine that took them.
    """
    pairs = zip(_identities(one), _identities(other), strict=True)
    return all(
        then is None or now is None or then.machine != now.machine or then.inode == now.inode
        for then, now in pairs
    )


def _identities(entry: MapInput) -> list[Identity | None]:
    return [replica.identity for part in entry.parts for replica in part]
