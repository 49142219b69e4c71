"""The JSON of what tasks leave beside their output: out-of-band results, and entries that they have left out.

``shapes`` has it, too.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

__all__ = ["BadEntry", "BadPage", "OOBEntry", "OOBPage", "OOBValue"]


class OOBEntry(Struct):
    key: str
    type: Literal["str", "json", "bytes"]
    size: int
    task: str


class OOBPage(Struct):
    total: int
    found: int
    truncated: bool
    offset: int
    limit: int
    results: list[OOBEntry]


class OOBValue(OOBEntry):
    text: str
    truncated: bool


class BadEntry(Struct):
    """``offset``: the byte of the unpacked file at which it begins, or its piece; ``number``: in that."""

    task: str
    url: str
    offset: int
    number: int
    entry: str
    truncated: bool
    error: str
    traceback: str


class BadPage(Struct):
    """``error``: why some of them cannot be read."""

    total: int
    offset: int
    limit: int
    entries: list[BadEntry]
    error: str | None
