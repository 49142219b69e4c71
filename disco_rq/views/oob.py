"""The out-of-band results of a job: found, looked at, taken home."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import NamedTuple

from disco_rq.errors import OOBNotFound
from disco_rq.model import OOB_KEY
from disco_rq.store.browsing import OOBEntry
from disco_rq.views import shapes
from disco_rq.views.asked import OfKey, OfOOB
from disco_rq.views.problem import Problem
from disco_rq.views.sources import Sources

__all__ = ["Download", "oob_download", "oob_page", "oob_value"]

MOST_CHARS = 64 << 10
MOST_VALUE_BYTES = 16 << 20
"""Larger ones are for the command line."""
MOST_BYTES = 4 << 10
"""Of bytes, shown as numbers."""


class Download(NamedTuple):
    """A file to take home. Its name has letters, digits and ``_.-`` only."""

    name: str
    content: bytes


def oob_page(sources: Sources, asked: OfOOB) -> shapes.OOBPage:
    sources.view.head(asked.job)
    keys = sources.browse.oob_keys(asked.job, asked.q)
    page = keys.found[asked.offset : asked.offset + asked.limit]
    entries = [shapes.OOBEntry(*entry) for entry in sources.browse.oob_entries(asked.job, page)]
    return shapes.OOBPage(keys.total, len(keys.found), keys.truncated, asked.offset, asked.limit, entries)


def oob_value(sources: Sources, asked: OfKey) -> shapes.OOBValue:
    entry, value = _stored(sources, asked)
    if entry.kind == "bytes":
        return shapes.OOBValue(*entry, _hex_dump(value[:MOST_BYTES]), len(value) > MOST_BYTES)
    text = value.decode("utf-8", "replace")
    if entry.kind == "json" and len(text) <= MOST_CHARS:
        with suppress(ValueError):  # somebody has altered it: as it is then
            text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    return shapes.OOBValue(*entry, text[:MOST_CHARS], len(text) > MOST_CHARS)


def oob_download(sources: Sources, asked: OfKey) -> Download:
    """The value itself, as a file."""
    entry, value = _stored(sources, asked)
    ending = {"json": "json", "bytes": "bin", "str": "txt"}[entry.kind]
    return Download(re.sub(r"[^a-zA-Z0-9_.\-]", "_", asked.key) + f".{ending}", value)


def _stored(sources: Sources, asked: OfKey) -> tuple[OOBEntry, bytes]:
    sources.view.head(asked.job)
    value = None
    if OOB_KEY.fullmatch(asked.key):
        [entry] = sources.browse.oob_entries(asked.job, [asked.key])
        if entry.size > MOST_VALUE_BYTES:
            raise Problem("refused", f"it has {entry.size:,} bytes: disco-rq oob get {asked.job} {asked.key}")
        value = sources.browse.oob_value(asked.job, asked.key)
    if value is None:
        raise OOBNotFound(f"job {asked.job} has no OOB result {asked.key!r}")
    return entry, value


def _hex_dump(value: bytes) -> str:
    lines = []
    for offset in range(0, len(value), 16):
        row = value[offset : offset + 16]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{offset:08x}  {row.hex(' '):<47}  {text}")
    return "\n".join(lines)
