"""Where attempts run."""

from __future__ import annotations

from dataclasses import dataclass

from disco_rq.inputs.rediskeys import KeysAt
from disco_rq.outputs.datadir import DataDir, Scratch
from disco_rq.outputs.locator import Locator

__all__ = ["Place"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where attempts run: a node, its data directory, this process' scratch, and the way to other outputs."""

    node: str
    data: DataDir
    scratch: Scratch
    locator: Locator
    keys: KeysAt | None = None  # lists and streams of Redis that are inputs
    fsync: bool = False  # results are on the disk before they count
