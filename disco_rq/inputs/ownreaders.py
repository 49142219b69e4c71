"""Inputs that are no files, and have readers of their own: records of the program, lists, streams."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from disco_rq.inputs.heldrecords import HeldRecords, read_held
from disco_rq.inputs.rediskeys import is_key, read_elements
from disco_rq.model import Input

__all__ = ["has_own_reader", "own_reader"]


def own_reader(input: Input) -> Callable[[BinaryIO, int | None, str], Iterator[Any]] | None:
    """What reads it, if it is none of those that the job's ``map_reader`` reads."""
    if input.data is not None:
        return read_held
    return read_elements if is_key(input.url) else None


def has_own_reader(entry: object) -> bool:
    """The same of an entry of a job's ``input``."""
    return isinstance(entry, HeldRecords) or (isinstance(entry, str) and is_key(entry))
